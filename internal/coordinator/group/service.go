package group

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
)

// Topic is where groups keep their state.
const Topic = "__consumer_offsets"

// parallelLoads is how many shards replay their partition at the same time, as Kafka's group.coordinator.threads.
const parallelLoads = 4

// Options is what node plugs in.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	// Config is asked at every use, so that dynamic values apply at once.
	Config func() Config
	// Partitions is the number of partitions Topic has; 0 while it does not exist.
	Partitions func() int32
	// Rand is where member ids come from: crypto/rand.Reader, or a seeded source in tests.
	Rand io.Reader
}

// Client is who sends a request. Host is the address in the form Kafka shows it: a slash before it, no port.
type Client struct{ ID, Host string }

// Service holds the group shards of this node.
type Service struct {
	o     Options
	loads chan struct{}

	mu struct {
		sync.RWMutex
		closed bool
		shards map[int32]*shard
		// epochs are the newest known of each partition, of shards that were resigned too: what is older comes too late.
		epochs map[int32]model.LeaderEpoch
		// news is closed when a partition is heard of for the first time. vain is when a wait for that last ended without; zero when some came since.
		news   chan struct{}
		vain   time.Time
		ending sync.WaitGroup
	}
}

type shard = coordinator.Shard[*state]

// New makes a service without shards.
func New(o Options) *Service {
	s := &Service{o: o, loads: make(chan struct{}, parallelLoads)}
	s.mu.shards, s.mu.epochs, s.mu.news = map[int32]*shard{}, map[int32]model.LeaderEpoch{}, make(chan struct{})
	return s
}

// Elected makes this node the coordinator of a partition of Topic, in a leader epoch: it loads log and then serves. An epoch that is not
// newer than one seen before changes nothing.
func (s *Service) Elected(partition int32, epoch model.LeaderEpoch, log coordinator.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, known := s.mu.epochs[partition]; s.mu.closed || known && epoch <= last {
		return
	}
	s.stopLocked(partition)
	defer s.heardLocked(partition, epoch)
	logger := s.o.Logger.With("topic", Topic, "partition", partition)
	s.mu.shards[partition] = coordinator.Start(coordinator.Options[*state]{
		Log: log, Epoch: epoch, Clock: s.o.Clock, Logger: logger, Loads: s.loads,
		New:        func() *state { return newState(s.o.Config, s.o.Rand, logger) },
		BatchBytes: func() int { return s.o.Config().OffsetsTopicBatchBytes },
	})
}

// Resigned ends what Elected began, unless epoch is older: another node has the partition, or none.
func (s *Service) Resigned(partition int32, epoch model.LeaderEpoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, known := s.mu.epochs[partition]; known && epoch < last {
		return
	}
	s.heardLocked(partition, epoch)
	s.stopLocked(partition)
}

func (s *Service) heardLocked(partition int32, epoch model.LeaderEpoch) {
	if _, known := s.mu.epochs[partition]; !known {
		close(s.mu.news)
		s.mu.news, s.mu.vain = make(chan struct{}), time.Time{}
	}
	s.mu.epochs[partition] = epoch
}

// Deleted ends what Elected began because the topic is gone. The next one of that name counts its leader epochs anew.
func (s *Service) Deleted(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heardLocked(partition, model.NoLeaderEpoch)
	s.stopLocked(partition)
}

func (s *Service) stopLocked(partition int32) {
	sh := s.mu.shards[partition]
	if sh == nil {
		return
	}
	delete(s.mu.shards, partition)
	sh.Stop()
	s.mu.ending.Add(1)
	go func() {
		<-sh.Ended()
		s.mu.ending.Done()
	}()
}

// TopicsDeleted removes the offsets that groups committed for topics that are gone. It does not wait for that.
func (s *Service) TopicsDeleted(topics []DeletedTopic) {
	for _, sh := range s.all() {
		sh.Submit(&topicsEvent{topics})
	}
}

// Close resigns from all partitions and waits until their shards are done. Everybody who waits is told NOT_COORDINATOR.
func (s *Service) Close() {
	s.mu.Lock()
	s.mu.closed = true
	for p := range s.mu.shards {
		s.stopLocked(p)
	}
	s.mu.Unlock()
	s.mu.ending.Wait()
}

func (s *Service) all() []*shard {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*shard, 0, len(s.mu.shards))
	for _, sh := range s.mu.shards {
		out = append(out, sh)
	}
	return out
}

// Ready waits until the shard of a group serves, as long as requests would, and says what they would be answered otherwise.
func (s *Service) Ready(ctx context.Context, group string) model.ErrorCode {
	_, code := s.shardOf(ctx, group)
	return code
}

// shardOf finds the shard that holds a group and waits for its load to end, a little while. As long it waits for word of a partition that this node
// has heard nothing of yet: another node, which has, has sent the client here. A request may name thousands of groups, one after the other, and of a
// topic that nobody has made; so what was waited for in vain is not waited for again at once.
func (s *Service) shardOf(ctx context.Context, group string) (*shard, model.ErrorCode) {
	sh, known, news := s.lookUp(group)
	if !known {
		if s.waitedInVain() {
			return nil, model.CoordinatorNotAvailable
		}
		late := make(chan struct{})
		timer := s.o.Clock.AfterFunc(s.o.Config().LoadWait, func() { close(late) })
		defer timer.Stop()
		for !known {
			select {
			case <-news:
				sh, known, news = s.lookUp(group)
			case <-late:
				s.mu.Lock()
				s.mu.vain = s.o.Clock.Now()
				s.mu.Unlock()
				return nil, model.CoordinatorNotAvailable
			case <-ctx.Done():
				return nil, model.CoordinatorNotAvailable
			}
		}
	}
	if sh == nil {
		return nil, model.NotCoordinator
	}
	return sh, s.await(ctx, sh)
}

// lookUp finds the shard that holds a group; known is false while this node has heard of no leader of its partition, which news tells of.
func (s *Service) lookUp(group string) (sh *shard, known bool, news <-chan struct{}) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.o.Partitions()
	if n <= 0 {
		return nil, s.mu.closed, s.mu.news
	}
	p := PartitionFor(group, n)
	_, known = s.mu.epochs[p]
	return s.mu.shards[p], known || s.mu.closed, s.mu.news
}

// waitedInVain reports that a wait for news has just ended without any.
func (s *Service) waitedInVain() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.mu.vain.IsZero() && s.o.Clock.Now().Sub(s.mu.vain) < s.o.Config().LoadWait
}

func (s *Service) await(ctx context.Context, sh *shard) model.ErrorCode {
	ready := sh.Ready()
	select {
	case <-ready:
		return model.None
	default:
	}
	late := make(chan struct{})
	timer := s.o.Clock.AfterFunc(s.o.Config().LoadWait, func() { close(late) })
	defer timer.Stop()
	select {
	case <-ready:
		return model.None
	case <-late:
		return model.CoordinatorLoadInProgress
	case <-ctx.Done():
		return model.CoordinatorNotAvailable
	}
}

// ask runs a request on the shard of its group and waits for the answer.
func (s *Service) ask(ctx context.Context, group string, e event) (any, error) {
	sh, code := s.shardOf(ctx, group)
	if code != model.None {
		return nil, code
	}
	return s.askShard(ctx, sh, e)
}

func (s *Service) askShard(ctx context.Context, sh *shard, e event) (any, error) {
	sh.Submit(e)
	select {
	case r := <-e.answered():
		return r.body, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// askInTime is ask for what is written before it is answered: after offsets.commit.timeout.ms the client is sent to look again, without knowing
// whether it was.
func (s *Service) askInTime(ctx context.Context, group string, e event) (any, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := s.o.Clock.AfterFunc(s.o.Config().CommitTimeout, func() { cancel(model.RequestTimedOut) })
	defer timer.Stop()
	body, err := s.ask(ctx, group, e)
	if err != nil && errors.Is(context.Cause(ctx), model.RequestTimedOut) {
		err = model.RequestTimedOut
	}
	return body, err
}

// PartitionFor is the partition of Topic that holds a group, as Kafka computes it: Java's String.hashCode of the id.
func PartitionFor(group string, partitions int32) int32 {
	var h int32
	for _, r := range group {
		if hi, lo := utf16.EncodeRune(r); hi != '\uFFFD' {
			h = h*31 + hi
			h = h*31 + lo
			continue
		}
		h = h*31 + r
	}
	if h == -1<<31 {
		return 0
	}
	return max(h, -h) % partitions
}
