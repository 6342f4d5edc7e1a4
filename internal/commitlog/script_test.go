package commitlog

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

var update = flag.Bool("update", false, "write what the scripts print as what is expected")

// TestScripts runs the stories in testdata: commands, a line of dashes, what they print. They are the place to begin reading about recovery.
func TestScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).run(string(old))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(old) {
				t.Errorf("%s differs (go test -run TestScripts -update writes it anew):\n%s", name, firstDifferent(got, string(old)))
			}
		})
	}
}

func firstDifferent(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d: got  %s\n        want %s", i+1, g[i], strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
	return "less is printed than expected"
}

// script is one story: a log, stopped or running.
type script struct {
	*world
	log *Log
	out bytes.Buffer
	seq map[model.ProducerID]int32
}

func newScript(t *testing.T) *script {
	w := newWorld(t)
	w.opts.RecoveryThreads, w.opts.walked = 1, 0
	return &script{world: w, seq: map[model.ProducerID]int32{}}
}

// run executes the commands and returns the script with what they print.
func (s *script) run(text string) string {
	var result strings.Builder
	var expected bool // inside of what is expected
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "----":
			expected = true
			result.WriteString("----\n" + s.out.String())
			s.out.Reset()
		case line == "":
			expected = false
			result.WriteString("\n")
		case expected:
		case line[0] == '#':
			result.WriteString(line + "\n")
		default:
			result.WriteString(line + "\n")
			s.do(line)
		}
	}
	return result.String()
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// do executes one command: a verb and key=value arguments.
func (s *script) do(line string) {
	words := strings.Fields(line)
	args := map[string]string{}
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			k, v = "file", w
		}
		args[k] = v
	}
	verbs := map[string]func(a arguments){
		"config": s.doConfig, "start": s.doStart, "stop": s.doStop, "kill": s.doKill, "append": s.doAppend, "commit": s.doCommit, "checkpoint": s.doCheckpoint,
		"delete-records": s.doDeleteRecords, "truncate": s.doTruncate, "read": s.doRead, "producers": s.doProducers, "epochs": s.doEpochs, "files": s.doFiles,
		"tear": s.doTear, "flip": s.doFlip, "remove": s.doRemove, "rename": s.doRename, "highwatermark": s.doHighWatermark, "scrub": s.doScrub,
	}
	verb := verbs[words[0]]
	if verb == nil {
		s.t.Fatalf("unknown command %q", line)
	}
	verb(arguments{s.t, args})
}

type arguments struct {
	t testing.TB
	m map[string]string
}

func (a arguments) num(key string, def int) int {
	v, ok := a.m[key]
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		a.t.Fatalf("%s=%s: %v", key, v, err)
	}
	return n
}

// file is a name in the partition's directory; "0.log" stands for twenty digits.
func (a arguments) file(key string) string {
	name := a.m[key]
	if base, suffix, ok := strings.Cut(name, "."); ok {
		if n, err := strconv.Atoi(base); err == nil {
			name = segmentFile(model.Offset(n), "."+suffix)
		}
	}
	if strings.HasPrefix(name, "/") {
		return dataDir + name
	}
	return dataDir + "/t-0/" + name
}

func (s *script) doConfig(a arguments) {
	s.cfg.Segment.Bytes = a.num("segment.bytes", s.cfg.Segment.Bytes)
	s.cfg.Segment.IndexIntervalBytes = a.num("index.interval.bytes", s.cfg.Segment.IndexIntervalBytes)
}

// doStart opens the log and says what became of it.
func (s *script) doStart(arguments) {
	d, err := OpenDir(s.env(), s.opts)
	if err != nil {
		s.say("%v", err)
		return
	}
	s.dir = d
	if s.log, err = d.Open(LogOptions{TP: testTP(), TopicID: testID(), Config: s.cfg}); err != nil {
		s.say("%v", err)
		return
	}
	recovered := s.log.mu.recoveryPoint // the commit that recovery asks for may be through already
	if err := s.log.Flush(); err != nil {
		s.say("%v", err)
	}
	s.tell()
	s.say("log %d-%d, durable before %d, segments %v", s.log.Start(), s.log.End(), recovered, bases(s.log))
}

// tell prints the events since the last time.
func (s *script) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, e := range s.events {
		switch e.Kind {
		case EventRecovered:
			lines = append(lines, fmt.Sprintf("recovered %d-%d from %d bytes", e.From, e.To, e.Bytes))
		case EventTruncatedTail:
			lines = append(lines, fmt.Sprintf("truncated tail: %d bytes of segment %d, which ends at %d now", e.Bytes, e.From, e.To))
		case EventCorrupt:
			lines = append(lines, fmt.Sprintf("corrupt %d-%d", e.From, e.To))
		case EventIndexRebuilt, EventSnapshotBad:
			lines = append(lines, fmt.Sprintf("%s %d", e.Kind, e.From))
		case EventCheckpointBad:
			lines = append(lines, fmt.Sprintf("%s %s", e.Kind, e.Name))
		case EventRolled:
			lines = append(lines, fmt.Sprintf("rolled at %d", e.From))
		case EventSegmentDeleted:
			lines = append(lines, fmt.Sprintf("deleted segment %d", e.From))
		}
	}
	s.events = nil
	for _, l := range lines {
		s.say("%s", l)
	}
}

func bases(l *Log) []model.Offset {
	var b []model.Offset
	for _, s := range l.segments.Load().segments {
		b = append(b, s.base)
	}
	return b
}

func (s *script) doStop(arguments) {
	if err := s.dir.Close(1); err != nil {
		s.say("%v", err)
	}
	s.dir, s.log = nil, nil
}

// doKill leaves the disk as the process sees it.
func (s *script) doKill(arguments) {
	s.stop(s.fs.(*vfs.Mem).KillClone())
	s.log = nil
}

func (s *script) doAppend(a arguments) {
	n := a.num("n", 1)
	b := spec{n: n, size: a.num("size", 40), ts: epochTime().UnixMilli(), pid: model.ProducerID(a.num("pid", 0)), seq: int32(a.num("seq", 0))}
	info, err := s.log.AppendLeader(b.build(), model.LeaderEpoch(a.num("epoch", 0)), AppendOptions{})
	s.tell()
	switch {
	case err != nil:
		s.say("%v", err)
	case info.Duplicate:
		s.say("duplicate of %d-%d", info.Base, info.Last)
	default:
		s.say("at %d-%d", info.Base, info.Last)
	}
}

func (s *script) doCommit(arguments) {
	if err := s.log.Flush(); err != nil {
		s.say("%v", err)
	}
	s.say("durable %d", s.log.DurableEnd())
}

func (s *script) doCheckpoint(arguments) {
	s.checkpoint()
	s.say("recovery point %d", s.log.mu.recoveryPoint)
}

func (s *script) doHighWatermark(a arguments) { s.log.SetHighWatermark(model.Offset(a.num("at", 0))) }

func (s *script) doDeleteRecords(a arguments) {
	if err := s.log.DeleteRecords(model.Offset(a.num("to", 0))); err != nil {
		s.say("%v", err)
	}
	s.tell()
	s.say("log %d-%d, segments %v", s.log.Start(), s.log.End(), bases(s.log))
}

func (s *script) doTruncate(a arguments) {
	if err := s.log.TruncateTo(model.Offset(a.num("to", 0))); err != nil {
		s.say("%v", err)
	}
	s.tell()
	s.say("log %d-%d, segments %v", s.log.Start(), s.log.End(), bases(s.log))
}

// doRead prints the offsets of the batches from an offset to the end, and where reading fails.
func (s *script) doRead(a arguments) {
	var got []string
	from := model.Offset(a.num("from", 0))
	for from < s.log.End() {
		slice, err := s.log.Read(from, ReadOptions{MaxBytes: 1 << 20, End: s.log.End(), MinOne: true})
		var e *Error
		if errors.As(err, &e) {
			err = e.Err
		}
		if err != nil {
			got = append(got, fmt.Sprintf("%d: %v", from, err))
			break
		}
		b, err := slice.Bytes(nil)
		slice.Release()
		if err != nil || len(b) == 0 {
			got = append(got, fmt.Sprintf("%d: %d bytes, %v", from, len(b), err))
			break
		}
		for len(b) > 0 {
			one, h, rest, err := batch.Next(b)
			if err == nil {
				err = batch.VerifyCRC(one)
			}
			if err != nil {
				s.t.Errorf("served at %d: %v", from, err)
			}
			got = append(got, fmt.Sprintf("%d-%d", h.BaseOffset, h.LastOffset()))
			from, b = h.NextOffset(), rest
		}
	}
	s.tell()
	s.say("%s", strings.Join(got, " "))
}

func (s *script) doProducers(arguments) {
	infos, err := s.log.Producers()
	if err != nil {
		s.say("%v", err)
	}
	s.tell()
	for _, p := range infos {
		s.say("producer %d epoch %d sequence %d", p.ID, p.Epoch, p.LastSequence)
	}
}

func (s *script) doEpochs(arguments) {
	var got []string
	for _, e := range s.log.mu.epochs.entries {
		got = append(got, fmt.Sprintf("%d from %d", e.Epoch, e.Start))
	}
	s.say("epochs: %s", strings.Join(got, ", "))
}

// doFiles lists the partition's directory with sizes.
func (s *script) doFiles(arguments) {
	names := list(s.t, s.fs, dataDir+"/t-0")
	sort.Strings(names)
	for _, n := range names {
		info, err := s.fs.Stat(dataDir + "/t-0/" + n)
		if err != nil {
			s.t.Fatal(err)
		}
		s.say("%6d %s", info.Size(), n)
	}
}

// doTear cuts bytes off the end of a file.
func (s *script) doTear(a arguments) {
	f, err := s.fs.OpenFile(a.file("file"), openExisting, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil {
		err = f.Truncate(size - int64(a.num("bytes", 1)))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) doFlip(a arguments) { flip(s.t, s.fs, a.file("file"), int64(a.num("at", 0))) }

func (s *script) doRemove(a arguments) {
	if err := s.fs.Remove(a.file("file")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) doRename(a arguments) {
	if err := s.fs.Rename(a.file("file"), a.file("to")); err != nil {
		s.t.Fatal(err)
	}
}

// doScrub checks everything that an earlier run wrote.
func (s *script) doScrub(arguments) {
	v := s.log.segments.Load()
	for i, g := range v.segments {
		for pos := int64(0); pos < g.trusted; {
			next, err := g.scrub(span{pos, pos + 500}, v.high(i))
			if err != nil {
				s.t.Fatal(err)
			}
			pos = next
		}
	}
	s.tell()
}
