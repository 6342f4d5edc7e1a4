package commitlog

import (
	"errors"
	"fmt"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
)

// opening is what is known of a log before it is opened.
type opening struct {
	clean         []byte       // its encoded state, nil after a crash
	recoveryPoint model.Offset // 0 when it is not known
	start         model.Offset
	startUnknown  bool // the checkpoint of the starts was lost
	highWatermark model.Offset
	meta          partitionMeta // zero when it was not read
	cleaned       model.Offset  // the cleaner has been at it up to here
	complete      bool          // recovery point and start are what was written last, or 0 because nothing ever was
}

func (d *Dir) opening(tp model.TopicPartition, name string) opening {
	d.mu.Lock()
	defer d.mu.Unlock()
	return opening{
		startUnknown: d.left.noStarts,
		complete:     d.left.complete,
		clean:        d.left.clean[name], recoveryPoint: d.left.recoveryPoints[tp], start: d.left.starts[tp],
		meta:          d.left.metas[tp],
		highWatermark: d.left.highWatermarks[tp], cleaned: d.left.cleaned[tp],
	}
}

// openLog opens a log the fast way from the clean state, by recovery after a crash, or anew.
func (d *Dir) openLog(o LogOptions, name string) (*Log, error) {
	l := d.unopened(o, name)
	op := d.opening(o.TP, name)
	l.mu.cleanedTo = op.cleaned
	if op.cleaned > 0 {
		l.dense.Store(false)
	}
	err := l.open(op)
	if err != nil {
		return nil, l.at(model.NoOffset, err)
	}
	l.highWatermark.Store(int64(min(max(op.highWatermark, l.Start()), l.End())))
	l.checkLocked()
	return l, nil
}

// unopened is a log of which nothing is known yet.
func (d *Dir) unopened(o LogOptions, name string) *Log {
	l := &Log{
		place: &place{disk: d.disk, tp: o.TP, path: d.o.Path + "/" + name},
		care:  d, topicID: o.TopicID, onDurable: o.OnDurable, future: name != o.TP.String(),
	}
	l.mu.snapshotAt = model.NoOffset
	l.unstable.Store(int64(model.NoOffset))
	l.dense.Store(true)
	l.SetConfig(o.Config)
	return l
}

func (l *Log) open(op opening) error {
	if op.clean != nil {
		state, err := remember.DecodeLog(op.clean)
		if err == nil {
			return l.openClean(state)
		}
		l.report(Event{Kind: EventCheckpointBad, TP: l.tp, Name: cleanStateFile, Err: err})
	}
	names, err := l.env.FS.List(l.path)
	if notExist(err) {
		return l.create()
	}
	if err != nil {
		return l.failed(err)
	}
	ours, err := l.checkTopic(op.meta)
	if err != nil {
		return err
	}
	r := recovery{Log: l, left: op, ours: ours}
	return r.run(names)
}

// openClean takes over what Close noted. No file is opened.
func (l *Log) openClean(state *remember.Log) error {
	if state.TopicID != l.topicID {
		return fmt.Errorf("%w: %v on disk, %v wanted", ErrTopicIDMismatch, state.TopicID, l.topicID)
	}
	if !state.Dense {
		l.dense.Store(false)
	}
	cfg := l.config.Load()
	v := &view{segments: make([]*segment, len(state.Segments))}
	for i, g := range state.Segments {
		s := newSegment(l.place, g.Base, cfg.Segment.IndexIntervalBytes)
		s.adopt(g.Size, state.End)
		if i+1 < len(state.Segments) {
			s.trustedEnd = state.Segments[i+1].Base
		}
		s.maxTime.Store(g.MaxTimestamp)
		v.segments[i] = s
	}
	active := v.active()
	if t := active.maxTime.Load(); t >= 0 {
		active.w.indexer.maxTime = timeEntry{ts: t, rel: state.MaxRel}
	}
	l.segments.Store(v)
	l.start.Store(int64(state.Start))
	l.end.Store(int64(state.End))
	l.durable.Store(int64(state.End))
	l.unstable.Store(int64(state.Unstable))
	l.mu.recoveryPoint, l.mu.wantStart = state.End, state.Start
	l.mu.epochs.entries = state.Epochs
	l.mu.producers.unread = state.ProducersAt != model.NoOffset
	l.mu.producers.readAt, l.mu.snapshotAt = state.ProducersAt, state.SnapshotAt
	if max(state.ProducersAt, state.SnapshotAt) < active.base {
		l.mu.sinceSnapshot = active.size.Load()
	}
	return nil
}

// adopt takes size bytes of an earlier run as they are: durable, complete, and to be checked before they are served. They end at end.
func (s *segment) adopt(size int64, end model.Offset) {
	s.size.Store(size)
	s.trusted, s.trustedEnd = size, end
	s.w.synced = size
}

// create makes a new log. Its names become durable with the first commit or checkpoint.
func (l *Log) create() error {
	if err := l.care.forgetStale(l.tp); err != nil {
		return err
	}
	if err := l.env.FS.MkdirAll(l.path, dirPerm); err != nil {
		return l.failed(err)
	}
	if err := l.writeFile(l.path+"/"+partitionMetaFile, encodePartitionMeta(l.topicID)); err != nil {
		return err
	}
	l.mu.dirs.add()
	l.beginAt(0)
	return nil
}

// beginAt gives the log one empty segment at an offset, and nothing else.
func (l *Log) beginAt(base model.Offset) {
	l.segments.Store(&view{segments: []*segment{l.emptySegment(base)}})
	l.start.Store(int64(base))
	l.end.Store(int64(base))
	l.durable.Store(int64(base))
	l.mu.recoveryPoint, l.mu.wantStart = base, base
	l.mu.names.add()
	l.touch()
}

// checkTopic holds partition.metadata, which may have been read before, against the topic this log is opened for. If the file is missing or damaged, the caller knows best
// whose directory it is: the file is written again.
// ours says whether the log was created by this program.
func (l *Log) checkTopic(id partitionMeta) (ours bool, err error) {
	if id.topic.IsZero() {
		id, err = readPartitionMeta(l.env.FS, l.path)
	}
	switch {
	case errors.Is(err, errBadPartitionMeta):
		l.report(Event{Kind: EventCheckpointBad, TP: l.tp, Name: partitionMetaFile, Err: err})
		return false, l.writeFile(l.path+"/"+partitionMetaFile, encodePartitionMeta(l.topicID))
	case err != nil:
		return false, l.failed(err)
	case id.topic != l.topicID:
		return false, fmt.Errorf("%w: %v on disk, %v wanted", ErrTopicIDMismatch, id.topic, l.topicID)
	case !id.ours:
		l.dense.Store(false)
	}
	return id.ours, nil
}
