package coordinator

import (
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/model"
)

// recordOverhead is a generous bound on what a record needs beside key and value: five varints and an attribute byte.
const recordOverhead = 32

// bundle collects the steps that will share a batch.
type bundle struct {
	steps []Step
	bytes int
}

// flight is an append that is not committed yet, with the answers that wait for it.
type flight struct {
	replies []Reply
	sealed  bool // the appending goroutine has added its replies
	landed  bool // committed, or failed
	err     error
}

// take does a step, or puts it into the bundle when it has records to share a batch with others.
func (s *Shard[M]) take(st Step, now time.Time) {
	deliver(st.Now, nil)
	if len(st.Records) == 0 {
		// Nothing to append: what is decided rests on what was appended before.
		if st.Then != nil {
			st.Replies = append(st.Replies, st.Then(nil)...)
		}
		s.park(st.Replies)
		return
	}
	n := 0
	for i := range st.Records {
		n += len(st.Records[i].Key) + len(st.Records[i].Value) + recordOverhead
	}
	if s.bundle.bytes > 0 && s.bundle.bytes+n > s.o.BatchBytes() {
		s.flush(now)
	}
	if st.Divisible && n > s.o.BatchBytes() {
		s.appendParts(st, now)
		return
	}
	s.bundle.steps = append(s.bundle.steps, st)
	s.bundle.bytes += n
}

// flush appends the bundle as one batch.
func (s *Shard[M]) flush(now time.Time) {
	if len(s.bundle.steps) == 0 {
		return
	}
	s.begin()
	for i := range s.bundle.steps {
		s.add(s.bundle.steps[i].Records, now)
	}
	f, err := s.append()
	for i := range s.bundle.steps {
		s.settle(&s.bundle.steps[i], f, err)
	}
	s.seal(f)
	clear(s.bundle.steps)
	s.bundle.steps, s.bundle.bytes = s.bundle.steps[:0], 0
}

// appendParts appends a step's many records as several batches. The answers wait for the last.
func (s *Shard[M]) appendParts(st Step, now time.Time) {
	s.flush(now)
	limit := s.o.BatchBytes()
	var err error
	var f *flight
	rest := st.Records
	for len(rest) > 0 && err == nil {
		n, bytes := 0, 0
		for n < len(rest) && (n == 0 || bytes < limit) {
			bytes += len(rest[n].Key) + len(rest[n].Value) + recordOverhead
			n++
		}
		if n > 1 && bytes > limit {
			n--
		}
		part := rest[:n]
		rest = rest[n:]
		s.begin()
		s.add(part, now)
		if f, err = s.append(); err == nil {
			s.replay(part)
		}
		if len(rest) > 0 {
			s.seal(f)
		}
	}
	st.Records = nil
	s.settle(&st, f, err)
	s.seal(f)
}

func (s *Shard[M]) begin() {
	o := batch.PlainBatch()
	o.LeaderEpoch = s.o.Epoch
	s.builder.Reset(o)
}

func (s *Shard[M]) add(records []Record, now time.Time) {
	ms := now.UnixMilli()
	for i := range records {
		s.builder.Add(batch.Record{Timestamp: ms, Key: records[i].Key, Value: records[i].Value})
	}
}

// append writes what the builder holds. The flight stands in line before the log can call back.
func (s *Shard[M]) append() (*flight, error) {
	f := &flight{}
	s.mu.Lock()
	s.mu.flights = append(s.mu.flights, f)
	s.mu.Unlock()
	count := s.builder.Count()
	base, err := s.o.Log.Append(s.builder.Bytes(), s.o.Epoch, func(err error) { s.land(f, err) })
	if err != nil {
		s.o.Logger.Warn("append failed", "epoch", s.o.Epoch, "err", err)
		s.land(f, nil) // it carries nothing, and must not hold up those behind it
		s.seal(f)
		return nil, err
	}
	s.end = base + model.Offset(count)
	return f, nil
}

func (s *Shard[M]) replay(records []Record) {
	for i := range records {
		if err := s.machine.Replay(records[i].Key, records[i].Value); err != nil {
			s.o.Logger.Error("own record cannot be replayed", "err", err)
		}
	}
}

// settle ends a step after its append: the state follows the log, the answers follow the state.
func (s *Shard[M]) settle(st *Step, f *flight, err error) {
	if err != nil {
		deliver(st.Replies, err)
		if st.Then != nil {
			deliver(st.Then(err), nil)
		}
		return
	}
	s.replay(st.Records)
	replies := st.Replies
	if st.Then != nil {
		replies = append(replies, st.Then(nil)...)
	}
	if bug.Is(bug.OffsetsAckedEarly) { // G1
		deliver(replies, nil)
		return
	}
	s.mu.Lock()
	f.replies = append(f.replies, replies...)
	s.mu.Unlock()
}

// seal lets a flight go as soon as it is committed.
func (s *Shard[M]) seal(f *flight) {
	if f == nil {
		return
	}
	s.mu.Lock()
	f.sealed = true
	released := s.releaseLocked()
	s.mu.Unlock()
	deliverFlights(released)
}

// park gives answers that wrote nothing themselves when all that was appended before is committed: at once, most often.
func (s *Shard[M]) park(replies []Reply) {
	if len(replies) == 0 {
		return
	}
	s.mu.Lock()
	var err error
	switch n := len(s.mu.flights); {
	case s.mu.broken:
		err = model.CoordinatorNotAvailable // what was decided may rest on the append that has just failed to commit
	case n > 0:
		last := s.mu.flights[n-1]
		last.replies = append(last.replies, replies...)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	deliver(replies, err)
}

// land is the log's word about an append. An error means that what was replayed into the machine may not be what the partition ends
// up with: the shard answers nothing more from this state and loads again.
func (s *Shard[M]) land(f *flight, err error) {
	s.mu.Lock()
	if f.landed {
		s.mu.Unlock()
		return
	}
	f.landed = true
	if err != nil {
		s.mu.broken = true
		s.wakeLocked()
		for _, g := range s.mu.flights {
			g.landed, g.err = true, err // those behind it rest on it
		}
	}
	released := s.releaseLocked()
	s.mu.Unlock()
	deliverFlights(released)
}

// releaseLocked takes the flights that may go off the front of the line.
func (s *Shard[M]) releaseLocked() []*flight {
	n := 0
	for n < len(s.mu.flights) && s.mu.flights[n].landed && s.mu.flights[n].sealed {
		n++
	}
	released := s.mu.flights[:n:n]
	s.mu.flights = s.mu.flights[n:]
	if len(s.mu.flights) == 0 {
		s.mu.flights = nil
	}
	return released
}

func deliverFlights(flights []*flight) {
	for _, f := range flights {
		deliver(f.replies, f.err)
	}
}

func deliver(replies []Reply, err error) {
	for _, r := range replies {
		r.Deliver(err)
	}
}
