package group

import (
	"sync"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// memLog is a partition in memory. gate, when set, holds up reads; commits come at once.
type memLog struct {
	gate chan struct{}
	mu   struct {
		sync.Mutex
		batches [][]byte
		end     model.Offset
		refuse  error
	}
}

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
	l.mu.Unlock()
	committed(nil)
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
	_, end := l.Bounds()
	return end
}
