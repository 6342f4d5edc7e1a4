package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// Workload is a set of clients. New, Create, Start, then Final or Stop, then Close; each once, in this order.
type Workload struct {
	o         Options
	rec       *history.Recorder
	actors    []actor
	admins    []*admin
	bookmarks []*bookmark
	groups    []string
	// own settles what the workload's own requests (Create, Final) draw.
	own *rand.Rand

	wg     sync.WaitGroup
	cancel context.CancelFunc
	quit   chan struct{} // closed: ask nothing new
	once   sync.Once
}

// actor is a client that runs until quit is closed or ctx ends.
type actor interface {
	run(ctx context.Context)
}

// stride is between the process numbers of two lives of one client: a client that crashed comes back as another process.
const stride = 1000

// finalProcess is the first process of the final reads.
const finalProcess = 900

// New draws everything random that the clients will need, and starts nothing.
func New(o Options) (*Workload, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	w := &Workload{o: o, rec: o.Recorder, quit: make(chan struct{}), cancel: func() {}}
	w.own = w.child()
	id := 0
	next := func() body {
		id++
		return body{w: w, id: id, process: id, rng: w.child()}
	}
	for range o.Load.Producers {
		w.actors = append(w.actors, &producer{body: next()})
	}
	for range o.Load.Consumers {
		w.actors = append(w.actors, &consumer{body: next()})
	}
	for g := range o.Load.Groups {
		name := "group-" + strconv.Itoa(g)
		w.groups = append(w.groups, name)
		balancer := w.own.IntN(4)
		for range o.Load.Members {
			w.actors = append(w.actors, &member{body: next(), group: name, balancer: balancer})
		}
	}
	for range o.Load.Probers {
		w.actors = append(w.actors, &prober{body: next()})
	}
	for range o.Load.Bookmarks {
		b := &bookmark{body: next()}
		w.bookmarks = append(w.bookmarks, b)
		w.actors = append(w.actors, b)
	}
	for range o.Load.Admins {
		a := &admin{body: next()}
		w.admins = append(w.admins, a)
		w.actors = append(w.actors, a)
	}
	return w, nil
}

// child is a generator of its own, drawn from the workload's.
func (w *Workload) child() *rand.Rand {
	return rand.New(rand.NewPCG(w.o.Rand.Uint64(), w.o.Rand.Uint64()))
}

// Keys are the partitions that are written and read.
func (w *Workload) Keys() []history.Key {
	keys := make([]history.Key, w.o.Partitions)
	for p := range keys {
		keys[p] = history.Key{Topic: w.o.Topic, Partition: int32(p)}
	}
	return keys
}

// Create makes the topic and waits until every partition has a leader. It tries until ctx ends.
func (w *Workload) Create(ctx context.Context) error {
	cl, err := w.client(ctx, w.own)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	limit := strconv.Itoa(maxMessageBytes)
	configs := map[string]*string{"max.message.bytes": &limit}
	for k, v := range w.o.Configs {
		configs[k] = &v
	}
	for {
		_, err := adm.CreateTopic(ctx, w.o.Partitions, w.o.Replicas, configs, w.o.Topic)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			err = w.led(ctx, adm)
		}
		if err == nil {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("create topic %s: %w", w.o.Topic, err)
		}
	}
}

func (w *Workload) led(ctx context.Context, adm *kadm.Client) error {
	m, err := adm.Metadata(ctx, w.o.Topic)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	t := m.Topics[w.o.Topic]
	if t.Err != nil || len(t.Partitions) != int(w.o.Partitions) {
		return fmt.Errorf("%d partitions: %w", len(t.Partitions), t.Err)
	}
	for p := range w.o.Partitions {
		if d := t.Partitions[p]; d.Leader < 0 {
			return fmt.Errorf("partition %d has no leader: %w", p, d.Err)
		}
	}
	return nil
}

// Start lets all clients work until ctx ends, or Stop, Final or Close.
func (w *Workload) Start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	for _, a := range w.actors {
		w.wg.Go(func() { a.run(ctx) })
	}
}

// Stop asks nothing new of the cluster, and waits for what was asked: until ctx ends, after which what is open stays undecided.
func (w *Workload) Stop(ctx context.Context) {
	w.once.Do(func() { close(w.quit) })
	done := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		w.cancel()
		<-done
	}
}

// Close ends every client at once.
func (w *Workload) Close() {
	w.once.Do(func() { close(w.quit) })
	w.cancel()
	w.wg.Wait()
}

// body is what every client has.
type body struct {
	w       *Workload
	id      int
	process int
	rng     *rand.Rand
}

// done reports whether the client shall ask nothing new.
func (b *body) done(ctx context.Context) bool {
	select {
	case <-b.w.quit:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// around is a time with mean d, between a half and three halves of it.
func (b *body) around(d time.Duration) time.Duration { return around(b.rng, d) }

func around(rng *rand.Rand, d time.Duration) time.Duration {
	return d/2 + time.Duration(rng.Int64N(int64(d)+1))
}

// rest waits a while; false when the client shall end.
func (b *body) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(b.around(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.w.quit:
	case <-ctx.Done():
	}
	return false
}

// die records that this life of the client is over; the next one is another process.
func (b *body) die() {
	b.w.rec.Note(history.Op{Process: b.process, F: history.Crash, Type: history.Info})
	b.process += stride
}

// pause waits for d; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// client is a client with the settings that all share: it gives up soon and asks again soon, so that a short run sees much.
func (w *Workload) client(ctx context.Context, rng *rand.Rand, opts ...kgo.Opt) (*kgo.Client, error) {
	// kgo asks for backoffs from goroutines of its own: they must not draw from the generator that decides what the client does.
	backoff := &lockedRand{rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))}
	patience := w.o.Pace.Timeout
	// Each client knows another broker first: what a broker gives out by itself, such as producer ids, comes from all of them.
	seeds := slices.Clone(w.o.Seeds)
	rng.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
	all := []kgo.Opt{
		kgo.WithContext(ctx), kgo.SeedBrokers(seeds...), kgo.DisableClientMetrics(), kgo.AlwaysRetryEOF(),
		kgo.RequestTimeoutOverhead(patience), kgo.DialTimeout(patience), kgo.ConnIdleTimeout(10 * time.Second), kgo.RetryTimeout(2 * patience),
		kgo.MetadataMinAge(around(rng, 150*time.Millisecond)), kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(fails int) time.Duration {
			return backoff.around(min(50*time.Millisecond<<min(fails, 4), time.Second))
		}),
	}
	if w.o.Dial != nil {
		all = append(all, kgo.Dialer(w.o.Dial))
	}
	cl, err := kgo.NewClient(append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return cl, nil
}

type lockedRand struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (l *lockedRand) around(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return around(l.rng, d)
}
