package commitlog

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/invariant"
	"github.com/klamm/klamm/internal/model"
)

// recovery opens a log after a crash. What lies below the recovery point is taken as it is and checked when it is read; what lies behind
// it is read and checked now, cut at the first batch that is not whole, and the indexes, epochs and producers of that part are derived.
type recovery struct {
	*Log
	left opening
	ours bool // the log was created by this program

	all     []*segment
	names   []string       // of the files in the directory, sorted
	snaps   []model.Offset // offsets of the snapshot files, lowest first
	removed bool           // a file was: its name must not come back
	scanned int64
	begun   time.Time
}

func (r *recovery) run(names []string) error {
	r.begun = r.env.Clock.Now()
	if err := r.collect(names); err != nil {
		return err
	}
	begin := max(r.left.start, r.left.recoveryPoint)
	if len(r.all) == 0 || (r.left.complete && r.all[0].base > begin) {
		return r.restartAt(begin) // or the first segment never reached the disk, and what follows it continues nothing
	}
	if r.left.complete && r.ours && r.all[0].base > r.left.start {
		r.report(Event{Kind: EventCorrupt, TP: r.tp, From: r.left.start, To: r.all[0].base}) // durable, and not there
	}
	// Segments below the log's start may be on their way out, and some of their names have come back and others not. The holes between them
	// say nothing about the rest; but the producers may have to be derived from what is there.
	v := &view{segments: r.all}
	r.left.recoveryPoint = max(r.left.recoveryPoint, r.all[v.find(r.left.start)].base)
	tail := v.find(r.left.recoveryPoint)
	for i, s := range r.all[:tail] {
		size, err := r.length(s)
		if err != nil {
			return err
		}
		s.adopt(size, r.all[i+1].base)
	}
	read, err := r.readEpochs(r.all[:tail+1])
	if err != nil {
		return err
	}
	if read && r.left.startUnknown && r.ours && len(r.mu.epochs.entries) > 0 {
		r.left.start = max(r.left.start, r.mu.epochs.entries[0].Start)
	}
	end, err := r.scanTail(tail)
	if err != nil {
		return err
	}
	return r.finish(tail, end)
}

// finish publishes the segments, the last of which ends at end.
func (r *recovery) finish(tail int, end model.Offset) error {
	l := r.Log
	l.segments.Store(&view{segments: r.all})
	l.start.Store(int64(max(r.left.start, r.all[0].base)))
	l.mu.recoveryPoint, l.mu.wantStart = min(r.left.recoveryPoint, end), l.Start()
	l.end.Store(int64(end))
	l.durable.Store(int64(l.mu.recoveryPoint))
	if r.scanned > 0 {
		l.report(Event{Kind: EventRecovered, TP: l.tp, From: r.left.recoveryPoint, To: end, Bytes: r.scanned, Took: l.env.Clock.Now().Sub(r.begun)})
	}
	if end < r.left.recoveryPoint {
		// Durable records are missing. Their offsets must not be given out again.
		r.noteLost(end)
		if err := r.restartBehind(r.left.recoveryPoint); err != nil {
			return err
		}
	}
	if l.Start() > l.End() {
		return r.restartAt(l.Start()) // nothing is left of what was durable, nor is it missed
	}
	if l.mu.epochs.truncateStart(l.Start()) {
		l.mu.epochsDirty = true
	}
	if err := r.tidySnapshots(); err != nil {
		return err
	}
	if r.removed {
		if err := r.syncNames(); err != nil {
			return err
		}
	}
	state, err := l.producersFrom(r.snaps, r.all, l.End())
	if err != nil {
		return err
	}
	l.mu.producers = state
	l.publishUnstableLocked()
	if err := r.deriveAborts(tail); err != nil {
		return err
	}
	// Whether the last run got as far as making the names durable is not known.
	l.mu.names.add()
	l.mu.dirs.add()
	if l.End() > l.DurableEnd() {
		l.mu.unsyncedSince = r.begun
		for _, s := range r.all[tail:] {
			f, err := s.openData()
			if err != nil {
				return l.failed(err)
			}
			s.hold(f)
			l.disk.unsynced.Add(s.size.Load() - s.w.synced)
		}
		l.touch()
		l.Commit()
	}
	return nil
}

// deriveAborts writes down anew which transactions were aborted in the segments that were scanned.
func (r *recovery) deriveAborts(tail int) error {
	v := view{segments: r.all}
	for i := tail; i < len(r.all); i++ {
		if s := r.all[i]; s.aborts.stale {
			if _, err := r.aborted(r.all, s, v.high(i)); err != nil {
				return err
			}
			if err := s.flushAborts(); err != nil && !errors.Is(err, ErrNoSpace) {
				return err
			}
		}
	}
	return nil
}

// noteLost marks what is missing between the end and the recovery point.
func (r *recovery) noteLost(end model.Offset) {
	invariant.Sometimes("durable records missing")
	s := r.all[len(r.all)-1]
	size := s.size.Load()
	c := s.ledger()
	c.mu.Lock()
	c.mu.bad = append(c.mu.bad, damage{span: span{size, size}, first: end, next: r.left.recoveryPoint})
	c.mu.Unlock()
	r.report(Event{Kind: EventCorrupt, TP: r.tp, From: end, To: r.left.recoveryPoint, Name: segmentFile(s.base, logSuffix)})
}

// restartAt drops every segment and lets the log begin anew, with the producers it knew.
func (r *recovery) restartAt(start model.Offset) error {
	// Snapshots of what is lost must not speak for what will take its place.
	for _, off := range r.snaps {
		if off > start {
			if err := r.removeFile(r.file(off, snapshotSuffix)); err != nil {
				return err
			}
		}
	}
	r.snaps = slices.DeleteFunc(r.snaps, func(off model.Offset) bool { return off > start })
	if len(r.all) == 0 && start == 0 { // nothing was ever appended
		r.beginAt(0)
		r.mu.dirs.add()
		if r.removed {
			return r.syncNames()
		}
		return nil
	}
	state, err := r.producersFrom(r.snaps, r.all, start)
	if err != nil {
		return err
	}
	if err := r.writeSnapshot(start, &state); err != nil {
		return err
	}
	if err := r.syncSnapshot(start); err != nil {
		return err
	}
	for _, s := range r.all {
		if err := r.remove(s); err != nil {
			return err
		}
	}
	r.mu.epochs, r.mu.epochsDirty = epochs{}, true
	r.mu.producers = state
	r.beginAt(start)
	return r.syncNames()
}

// restartBehind seals what is there and goes on at base, leaving a hole that reads report as damage.
func (r *recovery) restartBehind(base model.Offset) error {
	old := r.all[len(r.all)-1]
	if err := r.sealLocked(old); err != nil {
		return err
	}
	r.all = append(r.all, r.emptySegment(base))
	l := r.Log
	l.segments.Store(&view{segments: r.all})
	l.end.Store(int64(base))
	l.durable.Store(int64(base))
	l.mu.recoveryPoint = base
	l.mu.names.add()
	l.touch()
	return nil
}

// remove deletes the files of a segment that holds nothing of value.
func (r *recovery) remove(s *segment) error {
	s.close()
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix, snapshotSuffix} {
		if err := r.removeFile(s.file(s.base, suffix)); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) removeFile(name string) error {
	err := r.env.FS.Remove(name)
	if notExist(err) {
		return nil
	}
	r.removed = true
	return r.failed(err)
}

// collect tidies up what interrupted renames and deletions left, and lists the segments.
func (r *recovery) collect(names []string) error {
	names, err := r.finishSwaps(names)
	if err != nil {
		return err
	}
	r.names, r.snaps = names, snapshotsAmong(names)
	interval := r.config.Load().Segment.IndexIntervalBytes
	for _, name := range names {
		base, suffix, ok := parseSegmentFile(name)
		switch {
		case ok && suffix == logSuffix:
			r.all = append(r.all, newSegment(r.place, base, interval))
		case isLeftover(name):
			if err := r.removeFile(r.path + "/" + name); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(r.all, func(a, b *segment) int { return cmpOffset(a.base, b.base) })
	for _, name := range names {
		base, suffix, ok := parseSegmentFile(name)
		if !ok || (suffix != indexSuffix && suffix != timeSuffix && suffix != txnSuffix) {
			continue
		}
		if _, found := slices.BinarySearchFunc(r.all, base, func(s *segment, b model.Offset) int { return cmpOffset(s.base, b) }); !found {
			if err := r.removeFile(r.path + "/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// there reports whether a file was there when the directory was listed.
func (r *recovery) there(name string) bool {
	_, found := slices.BinarySearch(r.names, name)
	return found
}

func isLeftover(name string) bool {
	return strings.HasSuffix(name, deletedSuffix) || strings.HasSuffix(name, cleanedSuffix) || strings.HasSuffix(name, tmpSuffix)
}

// finishSwaps puts finished results of compaction in place of the segments they were made from, as Kafka does (KAFKA-6264): all whose base lies
// in the range of the result. Their indexes are derived when they are needed.
func (r *recovery) finishSwaps(names []string) ([]string, error) {
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, swapSuffix) }) {
		return names, nil
	}
	invariant.Sometimes("compaction interrupted")
	fsys := r.env.FS
	for _, name := range names {
		base, suffix, ok := parseSegmentFile(name)
		if !ok || suffix != logSuffix+swapSuffix {
			continue
		}
		next, err := r.swapEnd(name, base)
		if err != nil {
			return nil, err
		}
		for _, other := range names {
			b, sfx, ok := parseSegmentFile(other)
			// The transaction index of the first is that of the result already.
			replaced := sfx == logSuffix || sfx == indexSuffix || sfx == timeSuffix || (sfx == txnSuffix && b > base)
			if ok && b >= base && b < next && replaced {
				if err := r.removeFile(r.path + "/" + other); err != nil {
					return nil, err
				}
			}
		}
		// The result overlaps what it was made from: that must be gone for certain before the result has its name.
		if err := r.syncNames(); err != nil {
			return nil, err
		}
		if err := fsys.Rename(r.path+"/"+name, r.file(base, logSuffix)); err != nil {
			return nil, r.failed(err)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, swapSuffix) && !strings.HasSuffix(name, logSuffix+swapSuffix) {
			if err := r.removeFile(r.path + "/" + name); err != nil {
				return nil, err
			}
		}
	}
	if err := r.syncNames(); err != nil {
		return nil, err
	}
	names, err := fsys.List(r.path)
	return names, r.failed(err)
}

// swapEnd is the offset behind the last batch of a finished result of compaction.
func (r *recovery) swapEnd(name string, base model.Offset) (model.Offset, error) {
	f, err := r.env.FS.OpenFile(r.path+"/"+name, openExisting, filePerm)
	if err != nil {
		return 0, r.failed(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, r.failed(err)
	}
	next := base + 1
	sc := r.scan(f, 0, size)
	defer sc.done()
	for sc.next() {
		next = sc.h.NextOffset()
	}
	if sc.err != nil && !errors.Is(sc.err, errBroken) {
		return 0, sc.err
	}
	return next, nil
}

// tidySnapshots removes snapshots of what was cut off, which must not speak for what takes its place, and all but the newest of those
// between segments.
func (r *recovery) tidySnapshots() error {
	kept := r.snaps[:0:0]
	for _, off := range slices.Backward(r.snaps) {
		i := (&view{segments: r.all}).find(off)
		between := r.all[i].base != off
		if off <= r.End() && (!between || r.mu.snapshotAt == model.NoOffset) {
			if between {
				r.mu.snapshotAt = off
			}
			kept = append(kept, off)
			continue
		}
		if err := r.removeFile(r.file(off, snapshotSuffix)); err != nil {
			return err
		}
	}
	slices.Reverse(kept)
	r.snaps = kept
	return nil
}

// length is the size of a segment's file.
func (r *recovery) length(s *segment) (int64, error) {
	info, err := r.env.FS.Stat(s.file(s.base, logSuffix))
	if err != nil {
		return 0, r.failed(err)
	}
	return min(info.Size(), math.MaxInt32), nil
}
