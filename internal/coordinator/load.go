package coordinator

import (
	"errors"
	"fmt"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/model"
)

// loadChunk is how many bytes one read of a load asks for.
const loadChunk = 1 << 20

// errStopped ends a load that nobody wants any more.
var errStopped = errors.New("shard stopped")

// load takes the next step towards serving and reports whether there is more to do at once. Otherwise the timer is armed.
func (s *Shard[M]) load() bool {
	if s.phase == loading {
		began := s.o.Clock.Now()
		if err := s.replayLog(); err != nil {
			if !errors.Is(err, errStopped) {
				s.o.Logger.Error("load failed", "epoch", s.o.Epoch, "err", err)
			}
			s.arm(began.Add(retryLoad), began)
			return false
		}
		s.phase = settling
		if took := s.o.Clock.Now().Sub(began); took > time.Second {
			s.o.Logger.Info("loaded", "epoch", s.o.Epoch, "end", s.end, "took", took)
		}
	}
	now := s.o.Clock.Now()
	if s.o.Log.HighWatermark() < s.end {
		// The tail belongs to appends of an earlier leader that may not be committed yet. Serving from it could show what never was.
		s.arm(now.Add(settleCheck), now)
		return false
	}
	s.machine.Loaded(now)
	s.phase = serving
	s.armed = time.Time{}
	s.mu.Lock()
	close(s.mu.ready)
	s.mu.due = true // the machine may have something to wait for already
	s.mu.Unlock()
	return true
}

// replayLog fills a new machine from the log.
func (s *Shard[M]) replayLog() error {
	s.machine = s.o.New()
	start, end := s.o.Log.Bounds()
	if bug.Is(bug.CoordinatorLoadsPart) { // G1: what a new leader knows to be committed may lag behind what is
		end = s.o.Log.HighWatermark()
	}
	s.end = end
	if start == end {
		return nil
	}
	select {
	case s.o.Loads <- struct{}{}:
		defer func() { <-s.o.Loads }()
	case <-s.stop:
		return errStopped
	}
	for from := start; from < end; {
		select {
		case <-s.stop:
			return errStopped
		default:
		}
		chunk, err := s.o.Log.Read(from, loadChunk)
		if err != nil {
			return fmt.Errorf("read from %d: %w", from, err)
		}
		if len(chunk) == 0 {
			break // nothing but a gap up to the end: compaction removed the last records
		}
		next, err := s.replayBatches(chunk, from)
		if err != nil {
			return err
		}
		if next <= from {
			return fmt.Errorf("read from %d brought only records before it", from)
		}
		from = next
	}
	return nil
}

// replayBatches takes the records from the given offset on and returns the offset behind the last batch.
func (s *Shard[M]) replayBatches(chunk []byte, from model.Offset) (model.Offset, error) {
	next := from
	for len(chunk) > 0 {
		one, h, rest, err := batch.Next(chunk)
		if err != nil {
			return next, fmt.Errorf("batch at %d: %w", next, err)
		}
		chunk = rest
		if h.NextOffset() <= from {
			continue
		}
		next = h.NextOffset()
		if h.Attributes.Control() {
			continue
		}
		for r, err := range batch.Records(one, batch.Limits{}) {
			if err != nil {
				return next, fmt.Errorf("batch at %d: %w", h.BaseOffset, err)
			}
			if r.Offset < from {
				continue
			}
			if err := s.machine.Replay(r.Key, r.Value); err != nil {
				s.o.Logger.Error("record skipped", "offset", r.Offset, "err", err)
			}
		}
	}
	return next, nil
}

// unload throws the state away after a commit that failed; the log will tell what remains of it.
func (s *Shard[M]) unload() {
	s.mu.Lock()
	s.mu.ready = make(chan struct{})
	s.mu.Unlock()
	s.drop(model.CoordinatorNotAvailable)
	s.phase = loading
}

// drop fails what is parked, in the machine and behind appends.
func (s *Shard[M]) drop(err error) {
	s.mu.Lock()
	flights := s.mu.flights
	s.mu.flights = nil
	for _, f := range flights {
		f.landed, f.err = true, err
	}
	s.mu.Unlock()
	deliverFlights(flights)
	if s.phase == serving {
		s.machine.Abandon(err)
	}
}
