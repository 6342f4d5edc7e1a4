package coordinator

import (
	"errors"
	"sync"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// memLog is a Log in memory whose commits and failures the test decides.
type memLog struct {
	mu struct {
		sync.Mutex
		batches [][]byte
		start   model.Offset
		end     model.Offset
		high    model.Offset
		waiting []waitingCommit
		refuse  error // what Append fails with
		unread  error // what Read fails with
		manual  bool  // commits wait for commit()
	}
}

type waitingCommit struct {
	end  model.Offset
	tell func(error)
}

var errDisk = errors.New("disk broken")

func (l *memLog) Append(b []byte, epoch model.LeaderEpoch, committed func(error)) (model.Offset, error) {
	l.mu.Lock()
	if l.mu.refuse != nil {
		defer l.mu.Unlock()
		return 0, l.mu.refuse
	}
	own := append([]byte(nil), b...)
	base := l.mu.end
	batch.SetOffset(own, base, epoch)
	h, err := batch.ParseHeader(own)
	if err != nil {
		panic(err)
	}
	l.mu.batches = append(l.mu.batches, own)
	l.mu.end = h.NextOffset()
	if l.mu.manual {
		l.mu.waiting = append(l.mu.waiting, waitingCommit{l.mu.end, committed})
		l.mu.Unlock()
		return base, nil
	}
	l.mu.high = l.mu.end
	l.mu.Unlock()
	committed(nil)
	return base, nil
}

// land commits the oldest n appends, or fails them.
func (l *memLog) land(n int, err error) {
	l.mu.Lock()
	now := l.mu.waiting[:n]
	l.mu.waiting = l.mu.waiting[n:]
	if err == nil {
		l.mu.high = now[n-1].end
	}
	l.mu.Unlock()
	for _, w := range now {
		w.tell(err)
	}
}

func (l *memLog) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *memLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.batches)
}

func (l *memLog) Read(from model.Offset, maxBytes int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.unread != nil {
		return nil, l.mu.unread
	}
	var out []byte
	for _, b := range l.mu.batches {
		h, _ := batch.ParseHeader(b)
		if h.NextOffset() <= from {
			continue
		}
		if len(out) > 0 && len(out)+len(b) > maxBytes {
			break
		}
		out = append(out, b...)
	}
	return out, nil
}

func (l *memLog) Bounds() (model.Offset, model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.start, l.mu.end
}

func (l *memLog) HighWatermark() model.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.high
}
