package group

import (
	"sync"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// memLog is a partition in memory. gate, when set, holds up reads; commits come at once, or, when slow, with the next call of commit.
type memLog struct {
	gate chan struct{}
	slow bool
	mu   struct {
		sync.Mutex
		batches [][]byte
		end     model.Offset
		high    model.Offset
		waiting []func(error)
		refuse  error
		epoch   model.LeaderEpoch // the oldest that may append
	}
}

// pending reports that something was appended and not committed.
func (l *memLog) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.waiting) > 0
}

// commit makes everything appended so far committed.
func (l *memLog) commit() {
	l.mu.Lock()
	waiting := l.mu.waiting
	l.mu.waiting, l.mu.high = nil, l.mu.end
	l.mu.Unlock()
	for _, tell := range waiting {
		tell(nil)
	}
}

// truncate begins a leader epoch and loses what is not committed before it.
func (l *memLog) truncate(epoch model.LeaderEpoch) {
	l.mu.Lock()
	l.mu.epoch = epoch
	waiting := l.mu.waiting
	l.mu.waiting, l.mu.end = nil, l.mu.high
	for n := len(l.mu.batches); n > 0; n-- {
		if h, _ := batch.ParseHeader(l.mu.batches[n-1]); h.NextOffset() <= l.mu.high {
			l.mu.batches = l.mu.batches[:n]
			break
		}
		l.mu.batches = l.mu.batches[:n-1]
	}
	l.mu.Unlock()
	for _, tell := range waiting {
		tell(model.NotLeaderOrFollower)
	}
}

func (l *memLog) Append(b []byte, epoch model.LeaderEpoch, committed func(error)) (model.Offset, error) {
	l.mu.Lock()
	if l.mu.refuse != nil {
		defer l.mu.Unlock()
		return 0, l.mu.refuse
	}
	if epoch < l.mu.epoch {
		defer l.mu.Unlock()
		return 0, model.FencedLeaderEpoch
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
	l.mu.waiting = append(l.mu.waiting, committed)
	l.mu.Unlock()
	if !l.slow {
		l.commit()
	}
	return base, nil
}

func (l *memLog) Read(from model.Offset, maxBytes int) ([]byte, error) {
	if l.gate != nil {
		<-l.gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	for _, b := range l.mu.batches {
		h, _ := batch.ParseHeader(b)
		if h.NextOffset() > from && (len(out) == 0 || len(out)+len(b) <= maxBytes) {
			out = append(out, b...)
		}
	}
	return out, nil
}

func (l *memLog) Bounds() (model.Offset, model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, l.mu.end
}

func (l *memLog) HighWatermark() model.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.high
}
