package fetcher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/wire"
)

// Caller sends one request to a broker and decodes its answer; client.Peer.Call behind a look into the metadata for the address. Byte
// fields of resp belong to the caller until its next call with the same resp.
type Caller func(ctx context.Context, to model.BrokerID, req wire.Request, version int16, resp wire.Response) error

// Options is what node plugs in.
type Options struct {
	Me model.BrokerID
	// Epoch is this broker's epoch, sent along so that a leader can tell this process from an earlier one (KIP-903).
	Epoch func() model.BrokerEpoch
	Call  Caller
	// Report is Call for requests that are answered at once, where no answer of Call stands before theirs.
	Report Caller
	Clock  clock.Clock
	Logger *slog.Logger
	// Taking is the throttle of this node as a follower; may be nil.
	Taking *replication.Throttle

	MaxWait        time.Duration // replica.fetch.wait.max.ms; 0 means 500 ms
	MinBytes       int           // replica.fetch.min.bytes; 0 means 1
	PartitionBytes int           // replica.fetch.max.bytes; 0 means 1 MiB
	ResponseBytes  int           // replica.fetch.response.max.bytes; 0 means 10 MiB
	BackOff        time.Duration // replica.fetch.backoff.ms; 0 means 1 s
}

func (o Options) withDefaults() Options {
	if o.MaxWait <= 0 {
		o.MaxWait = 500 * time.Millisecond
	}
	if o.MinBytes <= 0 {
		o.MinBytes = 1
	}
	if o.PartitionBytes <= 0 {
		o.PartitionBytes = 1 << 20
	}
	if o.ResponseBytes <= 0 {
		o.ResponseBytes = 10 << 20
	}
	if o.BackOff <= 0 {
		o.BackOff = time.Second
	}
	return o
}

// Fetcher follows the leaders of this node's partitions.
type Fetcher struct {
	o   Options
	ctx context.Context
	end context.CancelFunc
	wg  sync.WaitGroup
	mu  struct {
		sync.Mutex
		loops  map[model.BrokerID]*loop
		of     map[model.TopicIDPartition]*loop
		closed bool
	}
}

// New makes a fetcher that follows nothing.
func New(o Options) *Fetcher {
	f := &Fetcher{o: o.withDefaults()}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.mu.loops, f.mu.of = map[model.BrokerID]*loop{}, map[model.TopicIDPartition]*loop{}
	return f
}

// Follow fetches for a partition from its leader, which may be another one than before. To be called after BecomeFollower.
func (f *Fetcher) Follow(p *replication.Partition, leader model.BrokerID) {
	id := model.TopicIDPartition{ID: p.ID(), Partition: p.TP().Partition}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.closed {
		return
	}
	old := f.mu.of[id]
	if old != nil && (leader == model.NoBroker || old.leader != leader) {
		delete(f.mu.of, id)
		old.remove(id)
	}
	if leader == model.NoBroker || leader == f.o.Me {
		return
	}
	l := f.mu.loops[leader]
	if l == nil {
		l = newLoop(f, leader)
		f.mu.loops[leader] = l
		f.wg.Go(l.run)
		f.wg.Go(l.reports.run)
	}
	f.mu.of[id] = l
	l.add(id, p)
}

// Forget stops fetching for a partition: this node leads it now, or holds it no longer.
func (f *Fetcher) Forget(id model.TopicIDPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.mu.of[id]; l != nil {
		delete(f.mu.of, id)
		l.remove(id)
	}
}

// Close ends every loop and waits for them.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.mu.closed = true
	f.mu.Unlock()
	f.end()
	f.wg.Wait()
}
