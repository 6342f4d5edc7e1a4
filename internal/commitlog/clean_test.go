package commitlog

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// compacted is a world whose log is compacted whenever there is anything to win, with small segments.
func compacted(t testing.TB) *world {
	w := newWorld(t)
	w.cfg.Compaction = CompactionConfig{Compact: true, TombstoneRetention: 24 * time.Hour, MaxLag: 1<<63 - 1, MinDirtyRatio: 0}
	w.cfg.Retention.Delete = false
	w.cfg.Segment.Bytes = 2000
	w.opts.CleanInterval = 1000 * time.Hour // tests say when
	return w
}

// kv is a batch of records written as "key=value"; "key" alone is a tombstone.
func kv(records ...string) []byte { return kvOf(batch.PlainBatch(), records...) }

func kvOf(o batch.BuildOptions, records ...string) []byte {
	b := batch.NewBuilder(o)
	for i, s := range records {
		key, value, found := strings.Cut(s, "=")
		r := batch.Record{Timestamp: epochTime().UnixMilli() + int64(i), Key: []byte(key)}
		if found {
			r.Value = []byte(value)
		}
		if key == "" {
			r.Key = nil
		}
		b.Add(r)
	}
	return b.Bytes()
}

// of is a batch of a producer.
func of(pid model.ProducerID, epoch model.ProducerEpoch, seq int32, txn bool) batch.BuildOptions {
	o := batch.PlainBatch()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = pid, epoch, seq, txn
	return o
}

// roll seals the active segment, as a later append would.
func (w *world) roll(l *Log) {
	w.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.segments.Load().active().base == l.End() {
		return // it is empty
	}
	if _, err := l.prepareLocked(l.segments.Load().active()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := l.rollLocked(l.End()); err != nil {
		w.t.Fatal(err)
	}
}

// clean seals, commits and compacts until nothing is due.
func (w *world) clean(l *Log) {
	w.t.Helper()
	w.roll(l)
	w.compact(l)
}

// compact cleans what is sealed.
func (w *world) compact(l *Log) {
	w.t.Helper()
	if err := l.Flush(); err != nil {
		w.t.Fatal(err)
	}
	l.SetHighWatermark(l.End())
	w.checkpoint()
	c := newCleaner(w.dir)
	c.quit = make(chan struct{})
	for c.work() {
	}
}

// records reads what the log holds, as "offset:key=value".
func records(t testing.TB, l *Log) []string {
	t.Helper()
	var got []string
	for from := l.Start(); from < l.End(); {
		s, err := l.Read(from, ReadOptions{MaxBytes: 1 << 20, End: l.End(), MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			t.Fatalf("nothing at %d of %d", from, l.End())
		}
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil || batch.VerifyCRC(one) != nil {
				t.Fatalf("batch at %d: %v", from, err)
			}
			if h.BaseOffset+model.Offset(h.LastOffsetDelta) < from {
				t.Fatalf("batch %d-%d read from %d", h.BaseOffset, h.LastOffset(), from)
			}
			got = append(got, describe(t, one, h)...)
			from, b = h.NextOffset(), rest
		}
	}
	return got
}

func describe(t testing.TB, one []byte, h batch.Header) []string {
	t.Helper()
	var got []string
	for r, err := range batch.Records(one, batch.Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case h.Attributes.Control():
			kind, err := batch.ParseControlKey(r.Key)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d:%s of %d", r.Offset, map[batch.ControlType]string{0: "abort", 1: "commit"}[kind], h.ProducerID))
		case r.Value == nil:
			got = append(got, fmt.Sprintf("%d:%s", r.Offset, r.Key))
		default:
			got = append(got, fmt.Sprintf("%d:%s=%s", r.Offset, r.Key, r.Value))
		}
	}
	return got
}

func wantRecords(t testing.TB, l *Log, want ...string) {
	t.Helper()
	if got := records(t, l); !slices.Equal(got, want) {
		t.Fatalf("log holds\n%s\nwant\n%s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func TestCleanKeepsTheLastOfEachKey(t *testing.T) {
	w := compacted(t)
	l := w.open()
	mustAppend(t, l, kv("a=1", "b=1", "c=1"))
	mustAppend(t, l, kv("a=2"))
	w.roll(l)
	mustAppend(t, l, kv("b=2", "d=1"))
	mustAppend(t, l, kv("a=3", "", "e=1"))
	w.clean(l)
	want := []string{"2:c=1", "4:b=2", "5:d=1", "6:a=3", "8:e=1"}
	wantRecords(t, l, want...)
	if n := len(l.segments.Load().segments); n != 2 {
		t.Fatalf("%d segments, want the two small ones in one and the active", n)
	}
	if w.saw(EventCleaned) != 1 {
		t.Fatalf("cleaned %d times", w.saw(EventCleaned))
	}
	mustAppend(t, l, kv("c=2"))
	want = append(want, "9:c=2")
	wantRecords(t, l, want...)
	l = w.restart()
	wantRecords(t, l, want...)
	l = w.kill()
	wantRecords(t, l, want...)
	w.clean(l)
	wantRecords(t, l, want[1:]...)
}

// Every offset can be asked for, also those that are gone: the answer begins with what comes next.
func TestCleanLeavesGapsThatCanBeRead(t *testing.T) {
	w := compacted(t)
	l := w.open()
	for i := range 300 {
		mustAppend(t, l, kv(fmt.Sprintf("k%d=%d", i%7, i), fmt.Sprintf("x%d=%d", i%5, i)))
	}
	end := l.End()
	w.clean(l)
	got := records(t, l)
	if len(got) != 12 {
		t.Fatalf("%d records left: %v", len(got), got)
	}
	var offsets []model.Offset
	for _, s := range got {
		var off model.Offset
		if _, err := fmt.Sscanf(s, "%d:", &off); err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, off)
	}
	for from := model.Offset(0); from < end; from++ {
		want := model.NoOffset
		if i, _ := slices.BinarySearch(offsets, from); i < len(offsets) {
			want = offsets[i]
		}
		if got := firstAt(t, l, from); got != want {
			t.Fatalf("read from %d finds %d, want %d", from, got, want)
		}
	}
}

// firstAt is the first record a consumer at an offset gets, NoOffset when there is none up to the end.
func firstAt(t testing.TB, l *Log, at model.Offset) model.Offset {
	t.Helper()
	for from := at; from < l.End(); {
		s, err := l.Read(from, ReadOptions{MaxBytes: 1 << 20, End: l.End(), MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil || len(b) == 0 {
			t.Fatalf("%d bytes at %d, %v", len(b), from, err)
		}
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err != nil {
				t.Fatal(err)
			}
			if h.LastOffset() < from {
				t.Fatalf("read from %d begins with batch %d-%d", from, h.BaseOffset, h.LastOffset())
			}
			for r := range batch.Records(one, batch.Limits{}) {
				if r.Offset >= at {
					return r.Offset
				}
			}
			from, b = h.NextOffset(), rest
		}
	}
	return model.NoOffset
}

func TestCleanStaysBelowWhatMayChange(t *testing.T) {
	for name, hold := range map[string]func(w *world, l *Log){
		"high watermark": func(w *world, l *Log) { l.SetHighWatermark(3) },
		"open transaction": func(w *world, l *Log) {
			l.SetHighWatermark(l.End())
			l.unstable.Store(2)
		},
		"min.compaction.lag.ms": func(w *world, l *Log) {
			l.SetHighWatermark(l.End())
			w.cfg.Compaction.MinLag = time.Hour
			l.SetConfig(w.cfg)
		},
		"not compacted": func(w *world, l *Log) {
			l.SetHighWatermark(l.End())
			w.cfg.Compaction.Compact = false
			l.SetConfig(w.cfg)
		},
	} {
		w := compacted(t)
		l := w.open()
		for i := range 4 {
			mustAppend(t, l, kv(fmt.Sprintf("a=%d", i)))
			if i == 1 || i == 3 {
				w.roll(l)
			}
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		w.checkpoint()
		hold(w, l)
		c := newCleaner(w.dir)
		c.quit = make(chan struct{})
		for c.work() {
		}
		want := []string{"0:a=0", "1:a=1", "2:a=2", "3:a=3"}
		if name == "high watermark" || name == "open transaction" {
			want = want[1:]
		}
		t.Run(name, func(t *testing.T) { wantRecords(t, l, want...) })
	}
}

func TestCleanRatioAndMaxLag(t *testing.T) {
	w := compacted(t)
	w.cfg.Compaction.MinDirtyRatio = 0.5
	l := w.open()
	for i := range 20 {
		mustAppend(t, l, kv(fmt.Sprintf("k%d=%s", i, strings.Repeat("v", 80))))
	}
	w.clean(l)
	if w.saw(EventCleaned) != 1 {
		t.Fatal("a log that was never cleaned is all dirty")
	}
	mustAppend(t, l, kv("k1=new"))
	w.clean(l)
	if w.saw(EventCleaned) != 1 {
		t.Fatal("cleaned although little is dirty")
	}
	w.cfg.Compaction.MaxLag = time.Hour
	l.SetConfig(w.cfg)
	w.compact(l)
	if w.saw(EventCleaned) != 1 {
		t.Fatal("cleaned before max.compaction.lag.ms")
	}
	w.clock.Advance(time.Hour + time.Second)
	w.compact(l)
	if w.saw(EventCleaned) != 2 {
		t.Fatal("not cleaned after max.compaction.lag.ms")
	}
	if got := records(t, l); slices.Contains(got, "1:k1="+strings.Repeat("v", 80)) {
		t.Fatalf("%v", got)
	}
}

// S10: a tombstone stays for delete.retention.ms after the first pass that met it.
func TestCleanTombstones(t *testing.T) {
	w := compacted(t)
	l := w.open()
	mustAppend(t, l, kv("a=1", "b=1"))
	mustAppend(t, l, kv("a", "c=1"))
	w.clean(l)
	wantRecords(t, l, "1:b=1", "2:a", "3:c=1")
	h := readAll(t, l, 0)[1]
	if want := w.clock.Now().Add(24 * time.Hour).UnixMilli(); h.DeleteHorizonMs() != want {
		t.Fatalf("delete horizon %d, want %d", h.DeleteHorizonMs(), want)
	}
	w.clock.Advance(23 * time.Hour)
	mustAppend(t, l, kv("x=1"))
	w.clean(l)
	wantRecords(t, l, "1:b=1", "2:a", "3:c=1", "4:x=1")
	w.clock.Advance(time.Hour)
	mustAppend(t, l, kv("y=1"))
	w.clean(l)
	wantRecords(t, l, "1:b=1", "3:c=1", "4:x=1", "5:y=1")
	l = w.kill()
	wantRecords(t, l, "1:b=1", "3:c=1", "4:x=1", "5:y=1")
}

// The state of idempotent producers outlives their records: what they sent last is known without any snapshot.
func TestCleanKeepsProducers(t *testing.T) {
	w := compacted(t)
	l := w.open()
	for i := range int32(8) {
		mustAppend(t, l, kvOf(of(7, 2, i, false), "a=1"))
	}
	mustAppend(t, l, kvOf(of(8, 0, 0, false), "a=2"))
	mustAppend(t, l, kv("a=3"))
	mustAppend(t, l, kv("a=4"))
	w.clean(l)
	wantRecords(t, l, "10:a=4")
	var left []model.Offset
	for _, h := range readAll(t, l, 0) {
		left = append(left, h.BaseOffset)
	}
	if !slices.Equal(left, []model.Offset{3, 4, 5, 6, 7, 8, 10}) {
		t.Fatalf("batches left: %v", left)
	}
	for _, name := range list(t, w.fs, l.path) {
		if strings.HasSuffix(name, snapshotSuffix) {
			if err := w.fs.Remove(l.path + "/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	l = w.kill()
	for seq := int32(3); seq < 8; seq++ {
		info := mustAppend(t, l, kvOf(of(7, 2, seq, false), "a=1"))
		if !info.Duplicate || info.Base != model.Offset(seq) {
			t.Fatalf("sequence %d again: %+v", seq, info)
		}
	}
	if _, err := l.AppendLeader(kvOf(of(7, 2, 9, false), "a=1"), 1, AppendOptions{}); !errors.Is(err, ErrOutOfOrderSequence) {
		t.Fatalf("a gap is let pass: %v", err)
	}
}

// T9: aborted records go and supersede nothing; markers stay while their transaction has a batch, and for delete.retention.ms then.
func TestCleanTransactions(t *testing.T) {
	w := compacted(t)
	w.cfg.ProducerExpiry = time.Hour
	l := w.open()
	mustAppend(t, l, kv("a=1", "b=1"))
	mustAppend(t, l, kvOf(of(5, 0, 0, true), "a=aborted", "n=aborted"))
	mustAppend(t, l, kvOf(of(6, 0, 0, true), "b=committed"))
	mustAppend(t, l, endTxn(5, 0, false, 1))
	mustAppend(t, l, endTxn(6, 0, true, 1))
	mustAppend(t, l, kv("z=1"))
	w.clean(l)
	wantRecords(t, l, "0:a=1", "4:b=committed", "5:abort of 5", "6:commit of 6", "7:z=1")
	aborted, err := l.AbortedTransactions(0, l.End())
	if err != nil || !slices.Equal(aborted, []AbortedTxn{{ProducerID: 5, FirstOffset: 2}}) {
		t.Fatalf("aborted: %v, %v", aborted, err)
	}

	// The producers are forgotten: nothing of the aborted transaction is needed any more. One pass removes its last batch, the next one
	// gives the marker a horizon, one after that removes it.
	w.clock.Advance(2 * time.Hour)
	l.expireProducers(w.clock.Now())
	want := []string{"0:a=1", "4:b=committed", "5:abort of 5", "6:commit of 6", "7:z=1"}
	for i := range 2 {
		mustAppend(t, l, kv(fmt.Sprintf("m%d=1", i)))
		want = append(want, fmt.Sprintf("%d:m%d=1", 8+i, i))
		w.clean(l)
		wantRecords(t, l, want...)
	}
	if aborted, err = l.AbortedTransactions(0, l.End()); err != nil || len(aborted) != 0 {
		t.Fatalf("aborted: %v, %v", aborted, err)
	}
	w.clock.Advance(25 * time.Hour)
	mustAppend(t, l, kv("b=2"))
	w.clean(l)
	// The committed one has lost its batch in this pass only.
	wantRecords(t, l, "0:a=1", "6:commit of 6", "7:z=1", "8:m0=1", "9:m1=1", "10:b=2")
}

// The marker of a transaction may lie in the active segment while its records are cleaned already.
func TestCleanKnowsOfLaterMarkers(t *testing.T) {
	w := compacted(t)
	l := w.open()
	mustAppend(t, l, kv("a=1"))
	mustAppend(t, l, kvOf(of(5, 0, 0, true), "a=aborted"))
	mustAppend(t, l, kv("b=1"))
	w.roll(l)
	mustAppend(t, l, endTxn(5, 0, false, 1))
	w.compact(l)
	wantRecords(t, l, "0:a=1", "2:b=1", "3:abort of 5")
	aborted, err := l.AbortedTransactions(0, l.End())
	if err != nil || !slices.Equal(aborted, []AbortedTxn{{ProducerID: 5, FirstOffset: 1}}) {
		t.Fatalf("aborted: %v, %v", aborted, err)
	}
}

// With little memory a log is cleaned in several passes; the result is the same.
func TestCleanWithLittleMemory(t *testing.T) {
	var want []string
	for _, memory := range []int64{1 << 20, 3 * keyBytes, keyBytes} {
		w := compacted(t)
		w.opts.CleanerMemory = memory
		l := w.open()
		for i := range 120 {
			mustAppend(t, l, kv(fmt.Sprintf("k%d=%d", i*7%11, i), fmt.Sprintf("k%d=%d", i*5%13, i)))
		}
		w.clean(l)
		got := records(t, l)
		if want == nil {
			want = got
		}
		if memory == 1<<20 && len(got) != 13 {
			t.Fatalf("%d records: %v", len(got), got)
		}
		lastOf := map[string]string{}
		for _, s := range got {
			_, rec, _ := strings.Cut(s, ":")
			key, value, _ := strings.Cut(rec, "=")
			lastOf[key] = value
		}
		for _, s := range want {
			_, rec, _ := strings.Cut(s, ":")
			key, value, _ := strings.Cut(rec, "=")
			if lastOf[key] != value {
				t.Fatalf("memory %d: last of %s is %s, want %s", memory, key, lastOf[key], value)
			}
		}
	}
}

func TestCleanRecompresses(t *testing.T) {
	for _, codec := range []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
		w := compacted(t)
		l := w.open()
		o := batch.PlainBatch()
		o.Codec = codec
		mustAppend(t, l, kvOf(o, "a=1", "b=1", "c=1"))
		mustAppend(t, l, kvOf(o, "b=2"))
		w.clean(l)
		wantRecords(t, l, "0:a=1", "2:c=1", "3:b=2")
		for _, h := range readAll(t, l, 0) {
			if h.Attributes.Codec() != codec {
				t.Fatalf("%v became %v", codec, h.Attributes.Codec())
			}
		}
	}
}

// Readers that began before a swap go on with what they have, or find the new segments.
func TestReadersDuringCleaning(t *testing.T) {
	w := compacted(t)
	l := w.open()
	for i := range 60 {
		mustAppend(t, l, kv(fmt.Sprintf("k%d=%d", i%5, i)))
	}
	held, err := l.Read(0, ReadOptions{MaxBytes: 1 << 20, End: l.End()})
	if err != nil {
		t.Fatal(err)
	}
	before, err := held.Bytes(nil)
	if err != nil {
		t.Fatal(err)
	}
	old := l.segments.Load()
	w.clean(l)
	after, err := held.Bytes(nil)
	if err != nil || string(after) != string(before) {
		t.Fatalf("a slice changed: %v", err)
	}
	held.Release()
	for _, s := range old.segments[:len(old.segments)-1] {
		if _, _, err := s.read(s.base, l.End(), l.End(), ReadOptions{MaxBytes: 1 << 20}); !errors.Is(err, errGone) {
			t.Fatalf("segment %d of an old view: %v", s.base, err)
		}
	}
	if w.saw(EventCorrupt) != 0 {
		t.Fatal("an old view counts as damage")
	}
	w.clock.Advance(2 * time.Minute) // file.delete.delay.ms
	w.dir.keeper.removeDoomed(w.clock.Now())
	for _, name := range list(t, w.fs, l.path) {
		if strings.HasSuffix(name, deletedSuffix) || strings.HasSuffix(name, cleanedSuffix) || strings.HasSuffix(name, swapSuffix) || strings.HasSuffix(name, tmpSuffix) {
			t.Errorf("left behind: %s", name)
		}
	}
}

// A damaged segment is left alone: what its records superseded is not known.
func TestCleanLeavesDamage(t *testing.T) {
	w := compacted(t)
	l := w.open()
	for i := range 60 {
		mustAppend(t, l, kv(fmt.Sprintf("k%d=%d", i%5, i)))
	}
	w.roll(l)
	l = w.restart()
	files := list(t, w.fs, l.path)
	flip(t, w.fs, l.path+"/00000000000000000000.log", 300)
	w.compact(l)
	if w.saw(EventCleaned) != 0 || w.saw(EventCorrupt) == 0 {
		t.Fatalf("cleaned %d times, %d damages reported", w.saw(EventCleaned), w.saw(EventCorrupt))
	}
	now := list(t, w.fs, l.path)
	for _, name := range files {
		if strings.HasSuffix(name, logSuffix) && !slices.Contains(now, name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// What is deleted or truncated during a pass is not brought back.
func TestCleanGivesUpWhenTheLogChanges(t *testing.T) {
	for name, change := range map[string]func(w *world, l *Log) error{
		"truncated": func(w *world, l *Log) error { return l.TruncateTo(10) },
		"deleted":   func(w *world, l *Log) error { return l.DeleteRecords(30) },
		"closed":    func(w *world, l *Log) error { return w.dir.Delete(l) },
	} {
		w := compacted(t)
		l := w.open()
		for i := range 60 {
			mustAppend(t, l, kv(fmt.Sprintf("k%d=%s", i%5, strings.Repeat("v", 100))))
		}
		w.roll(l)
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		l.SetHighWatermark(l.End())
		w.checkpoint()
		c := newCleaner(w.dir)
		c.quit = make(chan struct{})
		job, ok := c.choose(w.clock.Now())
		if !ok {
			t.Fatal("nothing to clean")
		}
		if err := change(w, l); err != nil {
			t.Fatal(err)
		}
		if _, err := c.clean(&job, w.clock.Now()); err == nil {
			t.Errorf("%s: the pass went on", name)
		}
		if w.dir.Offline() != nil {
			t.Errorf("%s: %v", name, w.dir.Offline())
		}
		if name != "closed" {
			if start := l.Start(); len(records(t, l)) != int(l.End()-start) {
				t.Errorf("%s: %v", name, records(t, l))
			}
		}
	}
}

func TestCleanerCheckpointIsKafkas(t *testing.T) {
	w := compacted(t)
	l := w.open()
	mustAppend(t, l, kv("a=1", "a=2"))
	w.clean(l)
	at := w.dir.keeper.checkpoints.content(cleanerFile)
	if !strings.HasPrefix(string(at), "0\n2\nt 0 2\n") {
		t.Fatalf("%q", at)
	}
	if err := l.TruncateTo(1); err != nil {
		t.Fatal(err)
	}
	if at := w.dir.keeper.checkpoints.content(cleanerFile); strings.Contains(string(at), "t 0 2") {
		t.Fatalf("after truncation: %q", at)
	}
}

// The cleaner runs by itself.
func TestCleanerRuns(t *testing.T) {
	w := compacted(t)
	w.opts.CleanInterval = 15 * time.Second
	l := w.open()
	mustAppend(t, l, kv("a=1", "a=2"))
	w.roll(l)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(l.End())
	w.checkpoint()
	cleanedTo := func() model.Offset {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.mu.cleanedTo
	}
	for deadline := time.Now().Add(10 * time.Second); cleanedTo() == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not cleaned")
		}
		w.clock.Advance(15 * time.Second)
	}
	wantRecords(t, l, "1:a=2")
}
