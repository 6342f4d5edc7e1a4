package workload

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// producer writes unique values to all keys, idempotently, with several requests in flight.
type producer struct {
	body
	sent int64
}

// perKey bounds what a producer has open for one key: enough for five requests in flight, few enough that a stuck key is left alone.
const perKey = 16

// life is one client of a producer: what its promises, which run in kgo's goroutines, share with the loop.
type life struct {
	client *kgo.Client
	wake   chan struct{} // something was decided
	acked  atomic.Bool   // something was
	doubt  atomic.Bool   // offsets of acknowledgements can no longer be relied on
	mu     struct {
		sync.Mutex
		open   []int // by partition
		total  int
		broken bool // an error that this client does not get over
	}
}

func (p *producer) run(ctx context.Context) {
	for !p.done(ctx) {
		p.live(ctx)
		p.die()
	}
}

// live is one life: until the client breaks, its time is over, or the work is.
func (p *producer) live(ctx context.Context) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := p.begin(inner)
	if err != nil {
		p.rest(ctx, p.w.o.Pace.Send)
		return
	}
	defer l.client.Close()
	defer cancel() // before Close: what is open stays undecided
	end := time.NewTimer(p.around(p.w.o.Pace.Life))
	defer end.Stop()
	known := false
	for !p.done(ctx) && !l.broken() {
		burst := 1
		if p.rng.IntN(4) == 0 {
			burst += p.rng.IntN(8)
		}
		for range burst {
			p.send(inner, l)
		}
		known = known || l.acked.Load() && p.tellID(inner, l)
		select {
		case <-end.C:
			if p.rng.IntN(2) == 0 {
				return // as a process that was killed
			}
			l.settle(ctx, p.w.o.Pace.Timeout)
			return
		default:
		}
		p.rest(ctx, p.w.o.Pace.Send)
	}
	if !l.broken() {
		l.settle(ctx, 10*p.w.o.Pace.Timeout)
	}
}

func (p *producer) begin(ctx context.Context) (*life, error) {
	l := &life{wake: make(chan struct{}, 1)}
	l.mu.open = make([]int, p.w.o.Partitions)
	var err error
	l.client, err = p.w.client(ctx, p.rng,
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProduceRequestTimeout(p.w.o.Pace.Timeout), kgo.UnknownTopicRetries(-1), kgo.ProducerBatchMaxBytes(4*oversize),
		// An idempotent client that goes on after it lost track of its sequence writes twice: it is the client's doing, not the cluster's.
		kgo.StopProducerOnDataLossDetected(),
		kgo.ProducerBatchCompression(p.w.o.Codecs[p.rng.IntN(len(p.w.o.Codecs))]),
		kgo.WithLogger(doubter{&l.doubt}),
	)
	return l, err
}

// doubter listens for what kgo tells nobody but its logger: a batch that the broker knows as written, but no longer where. kgo counts it as
// acknowledged, with offsets that are made up.
type doubter struct{ doubt *atomic.Bool }

// Level implements kgo.Logger.
func (doubter) Level() kgo.LogLevel { return kgo.LogLevelInfo }

// Log implements kgo.Logger.
func (d doubter) Log(_ kgo.LogLevel, msg string, _ ...any) {
	if strings.Contains(msg, "duplicate sequence number") {
		d.doubt.Store(true)
	}
}

// send writes one record to a key that has room.
func (p *producer) send(ctx context.Context, l *life) {
	part := int32(p.rng.IntN(int(p.w.o.Partitions)))
	padding := p.rng.IntN(maxPadding)
	if p.rng.IntN(400) == 0 {
		padding = oversize
	}
	if !l.enter(part) {
		return
	}
	p.sent++
	value := int64(p.id)<<40 | p.sent
	m := history.Mop{Key: history.Key{Topic: p.w.o.Topic, Partition: part}, Value: value, Offset: history.None}
	call := p.w.rec.Begin(history.Op{Process: p.process, F: history.Send, Mops: []history.Mop{m}})
	l.client.Produce(ctx, &kgo.Record{Topic: p.w.o.Topic, Partition: part, Value: payload(value, padding)}, func(r *kgo.Record, err error) {
		m.Offset = r.Offset
		l.acked.Store(l.acked.Load() || err == nil)
		l.leave(part, decide(call, m, err, l.doubt.Load()))
	})
}

// tellID records under which producer id the client writes, which it knows once it has written.
func (p *producer) tellID(ctx context.Context, l *life) bool {
	ctx, cancel := context.WithTimeout(ctx, p.w.o.Pace.Timeout)
	defer cancel()
	id, epoch, err := l.client.ProducerID(ctx)
	if err != nil {
		return false
	}
	p.w.rec.Note(history.Op{Process: p.process, F: history.ProducerID, Type: history.OK,
		Mops: []history.Mop{{Value: id, Epoch: int32(epoch), Offset: history.None}}})
	return true
}

// decide ends a send, and reports whether the client is broken.
func decide(call *history.Call, m history.Mop, err error, doubt bool) bool {
	switch {
	case err == nil && doubt:
		call.Info(errDoubt)
		return true
	case err == nil:
		call.OK(m)
		return false
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidRecord),
		errors.Is(err, kgo.ErrMaxBuffered):
		// Refused before anything was written; a retry of the same batch is refused in the same way.
		call.Fail(err)
		return false
	}
	call.Info(err)
	return true
}

var errDoubt = errors.New("acknowledged as written before, at an offset that nobody knows")

// enter takes a place for a record of a key, if there is one.
func (l *life) enter(part int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.open[part] >= perKey || l.mu.broken {
		return false
	}
	l.mu.open[part]++
	l.mu.total++
	return true
}

func (l *life) leave(part int32, broken bool) {
	l.mu.Lock()
	l.mu.open[part]--
	l.mu.total--
	l.mu.broken = l.mu.broken || broken
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *life) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.broken
}

func (l *life) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.total
}

// settle waits until every record is decided, or limit is over.
func (l *life) settle(ctx context.Context, limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	for l.open() > 0 {
		select {
		case <-l.wake:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
