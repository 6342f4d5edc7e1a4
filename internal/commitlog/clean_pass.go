package commitlog

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// pass of the cleaner over one log.
type cleaning struct {
	cleaner *cleaner
	log     *Log
	cfg     *Config
	c       *cleanable
	now     int64 // ms
	keys    *keyMap
	txns    cleanTxns
	// needed are the batches whose headers idempotent producers and fencing need, by producer: what a restart has to find
	// without a snapshot.
	needed map[model.ProducerID]producer

	in      []byte // the batch at hand
	keep    []bool // of its records
	builder batch.Builder
}

// clean compacts what c says and returns how far the log is clean then.
func (c *cleaner) clean(job *cleanable, now time.Time) (model.Offset, error) {
	p := &cleaning{
		cleaner: c, log: job.log, cfg: job.log.config.Load(), c: job, now: now.UnixMilli(), keys: newKeyMap(c.dir.pace.Load().memory),
	}
	var err error
	if p.txns.aborted, err = job.log.abortedIn(job.all); err != nil {
		return 0, err
	}
	if err = p.readKeys(); err != nil {
		return 0, err
	}
	if p.keys.end <= job.dirty {
		return job.dirty, nil
	}
	if p.needed, err = job.log.neededBatches(); err != nil {
		return 0, err
	}
	p.txns.restart()
	for _, g := range p.groups() {
		if err := p.rewrite(g); err != nil {
			return 0, err
		}
	}
	return p.keys.end, nil
}

// neededBatches copies the producers' state.
func (l *Log) neededBatches() (map[model.ProducerID]producer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readProducersLocked(); err != nil {
		return nil, err
	}
	needed := make(map[model.ProducerID]producer, len(l.mu.producers.byID))
	for id, p := range l.mu.producers.byID {
		needed[id] = *p
	}
	return needed, nil
}

// isNeeded reports whether a batch must stay, at least as a header, for the state of its producer. A marker says something only while its
// producer has no records that do.
func (p *cleaning) isNeeded(h *batch.Header) bool {
	known, ok := p.needed[h.ProducerID]
	if !ok || h.ProducerID < 0 {
		return false
	}
	if h.Attributes.Control() {
		return known.known == 0 && h.ProducerEpoch == known.epoch
	}
	for i := range known.known {
		if known.batches[i].lastOffset == h.LastOffset() {
			return true
		}
	}
	return false
}

// each reads the batches of a segment whole, checks them, and calls visit until it returns false. Damage is ErrCorrupt.
func (p *cleaning) each(s *segment, visit func(h *batch.Header, b []byte, last bool) (bool, error)) error {
	f, err := s.openData()
	if err != nil {
		return err
	}
	defer f.unref()
	size := s.size.Load()
	var failure error
	err = s.walk(f, span{0, size}, func(sc *scanner) bool {
		if p.cleaner.stopped() {
			failure = errStopped
			return false
		}
		if p.in, failure = sc.batchBytes(p.in); failure != nil {
			return false
		}
		if batch.VerifyCRC(p.in) != nil {
			failure = ErrCorrupt
			p.log.report(Event{Kind: EventCorrupt, TP: p.log.tp, From: sc.h.BaseOffset, To: sc.h.NextOffset(), Name: segmentFile(s.base, logSuffix)})
			return false
		}
		h, goOn := sc.h, false
		goOn, failure = visit(&h, p.in, sc.pos >= size)
		return goOn && failure == nil
	})
	if err == nil && len(s.damaged()) > 0 {
		err = ErrCorrupt
	}
	return errors.Join(failure, err)
}

// readKeys fills the map from the dirty part, until that ends or the map is full.
func (p *cleaning) readKeys() error {
	p.txns.restart()
	p.keys.end = p.c.dirty
	v := &view{segments: p.c.all}
	for i := v.find(p.c.dirty); i < len(p.c.segments); i++ {
		full := false
		err := p.each(p.c.segments[i], func(h *batch.Header, b []byte, _ bool) (bool, error) {
			if h.LastOffset() < p.c.dirty {
				return true, nil
			}
			ok, err := p.readBatchKeys(h, b)
			full = !ok
			return ok, err
		})
		if err != nil || full {
			return err
		}
		p.keys.end = p.c.all[i+1].base
	}
	return nil
}

// readBatchKeys takes in one batch and reports whether there was room. Records of aborted transactions supersede nothing.
func (p *cleaning) readBatchKeys(h *batch.Header, b []byte) (bool, error) {
	if !h.Attributes.Control() && !p.txns.sawData(h) {
		for r, err := range batch.Records(b, batch.Limits{}) {
			if err != nil {
				return false, errors.Join(ErrCorrupt, err)
			}
			if r.Key == nil || r.Offset < p.c.dirty {
				continue
			}
			if !p.keys.note(r.Key, r.Offset) {
				p.keys.end = r.Offset
				return false, nil
			}
		}
	}
	p.keys.end = h.NextOffset()
	return true, nil
}

// groups divides the segments below the map's end into runs that fit into one segment each.
func (p *cleaning) groups() [][]*segment {
	n := 0
	for n < len(p.c.segments) && p.c.segments[n].base < p.keys.end {
		n++
	}
	var groups [][]*segment
	var bytes int64
	for i, s := range p.c.segments[:n] {
		size := s.size.Load()
		if g := len(groups) - 1; g >= 0 {
			first := groups[g][0]
			entries := (bytes + size) / int64(max(p.cfg.Segment.IndexIntervalBytes, 1))
			if bytes+size <= int64(p.cfg.Segment.Bytes) && p.c.all[i+1].base-1-first.base <= maxRelative &&
				entries*timeEntrySize < int64(p.cfg.Segment.IndexMaxBytes) {
				groups[g] = append(groups[g], s)
				bytes += size
				continue
			}
		}
		groups = append(groups, []*segment{s})
		bytes = size
	}
	return groups
}

// rewrite writes a group of segments anew and puts the result in their place.
func (p *cleaning) rewrite(group []*segment) error {
	out, err := p.log.beginCleaned(group[0].base, p.cfg.Segment.IndexIntervalBytes)
	if err != nil {
		return err
	}
	for i, s := range group {
		lastSegment := i == len(group)-1
		err = p.each(s, func(h *batch.Header, b []byte, last bool) (bool, error) {
			return true, p.batch(out, h, b, last && lastSegment)
		})
		if err != nil {
			return errors.Join(err, out.drop())
		}
	}
	if len(group) == 1 && !out.changed {
		return out.drop() // nothing to win
	}
	if err := out.finish(); err != nil {
		return errors.Join(err, out.drop())
	}
	return out.replace(group, p.c.truncations)
}

// batch writes what stays of a batch. The last batch of a result stays in any case, so that a segment ends where the next begins.
func (p *cleaning) batch(out *cleaned, h *batch.Header, b []byte, last bool) error {
	stay := last || p.isNeeded(h)
	if h.Attributes.Control() {
		return p.marker(out, h, b, stay)
	}
	aborted := p.txns.sawData(h)
	if h.BaseOffset >= p.keys.end {
		return out.add(h, b)
	}
	v, err := p.choose(h, b, aborted)
	if err != nil {
		return err
	}
	v.stay = stay
	return p.put(out, h, b, v)
}

// verdict is what becomes of a batch. p.keep says which of its records stay.
type verdict struct {
	kept int  // number of them
	stay bool // the header stays in any case
	toGo bool // what stays is to go when delete.retention.ms have passed
}

// marker writes a transaction marker, unless nobody needs it: there is no batch of its transaction any more, and readers that were in the middle
// of it have had delete.retention.ms to come to its end.
func (p *cleaning) marker(out *cleaned, h *batch.Header, b []byte, stay bool) error {
	txn, aborted := p.txns.endedBy(h.ProducerID, h.LastOffset())
	needed := p.txns.sawMarker(h)
	if needed && aborted && txn.last == h.LastOffset() {
		out.aborts = append(out.aborts, txn)
	}
	if h.BaseOffset >= p.keys.end {
		return out.add(h, b)
	}
	kept := int(h.Count)
	if horizon := h.DeleteHorizonMs(); !needed && horizon != batch.NoDeleteHorizon && horizon <= p.now {
		kept = 0
	}
	p.keep = append(p.keep[:0], slices.Repeat([]bool{kept > 0}, int(h.Count))...)
	return p.put(out, h, b, verdict{kept: kept, stay: stay, toGo: !needed})
}

// choose decides which records of a data batch stay.
func (p *cleaning) choose(h *batch.Header, b []byte, aborted bool) (v verdict, err error) {
	p.keep = p.keep[:0]
	horizon := h.DeleteHorizonMs()
	tombstonesMayGo := horizon != batch.NoDeleteHorizon && horizon <= p.now
	for r, err := range batch.Records(b, batch.Limits{}) {
		if err != nil {
			return v, errors.Join(ErrCorrupt, err)
		}
		stays := false
		switch {
		case aborted:
		case r.Offset >= p.keys.end:
			stays = true
		case r.Key == nil: // from before the topic was compacted: nothing will ever supersede it
		case p.keys.superseded(r.Key, r.Offset):
		default:
			stays = r.Value != nil || !tombstonesMayGo
		}
		p.keep = append(p.keep, stays)
		if stays {
			v.kept++
			v.toGo = v.toGo || r.Value == nil // a tombstone
		}
	}
	return v, nil
}

// put writes what stays of a batch.
func (p *cleaning) put(out *cleaned, h *batch.Header, b []byte, v verdict) error {
	horizon := int64(batch.NoDeleteHorizon)
	if v.toGo && v.kept > 0 && h.DeleteHorizonMs() == batch.NoDeleteHorizon {
		horizon = p.now + min(p.cfg.Compaction.TombstoneRetention.Milliseconds(), math.MaxInt64-p.now)
	}
	switch {
	case v.kept == int(h.Count) && horizon == batch.NoDeleteHorizon && (v.kept > 0 || v.stay):
		return out.add(h, b)
	case v.kept == 0 && !v.stay:
		out.changed = true
		return nil
	}
	out.changed = true
	var err error
	out.buf, err = p.builder.Rewrite(out.buf, b, horizon, func(i int) bool { return p.keep[i] })
	if err != nil {
		return errors.Join(ErrCorrupt, err)
	}
	return out.added()
}
