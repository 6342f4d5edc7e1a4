package node

import (
	"errors"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
)

// groupLog lets a group shard keep its records in a partition: acks=all like any producer who wants to be sure.
type groupLog struct{ r *replica }

// committed waits for one append of a shard.
type committed func(error)

// Wake implements replication.Waiter.
func (c committed) Wake(_ int, err error) { c(err) }

// Append implements coordinator.Log.
func (g groupLog) Append(records []byte, epoch model.LeaderEpoch, done func(error)) (model.Offset, error) {
	res, err := g.r.part.Append(&replication.Append{
		Records: records, Acks: replication.AcksAll, LeaderEpoch: epoch, Origin: commitlog.FromCoordinator, Waiter: committed(done),
	})
	if err != nil {
		return model.NoOffset, withCode(err)
	}
	if !res.Wait {
		done(nil)
	}
	return res.Base, nil
}

// withCode keeps Kafka's code for an error of the engines within reach of errors.As.
func withCode(err error) error {
	if code, ok := replication.Code(err); ok {
		return errors.Join(code, err)
	}
	return err
}

// Read implements coordinator.Log.
func (g groupLog) Read(from model.Offset, maxBytes int) ([]byte, error) {
	log := g.r.part.Log()
	s, err := log.Read(from, commitlog.ReadOptions{MaxBytes: maxBytes, End: log.End(), MinOne: true})
	if moved := g.r.part.Log(); moved != log && errors.Is(err, commitlog.ErrClosed) {
		s, err = moved.Read(from, commitlog.ReadOptions{MaxBytes: maxBytes, End: moved.End(), MinOne: true})
	}
	if err != nil {
		return nil, err
	}
	defer s.Release()
	b, err := s.Bytes(nil)
	if err != nil {
		return nil, err
	}
	// What was read may end inside of a batch; the first one is whole.
	whole := 0
	for rest := b; len(rest) > 0; {
		one, _, next, err := batch.Next(rest)
		if err != nil {
			break
		}
		whole += len(one)
		rest = next
	}
	return b[:whole], nil
}

// Bounds implements coordinator.Log.
func (g groupLog) Bounds() (start, end model.Offset) {
	return g.r.part.Log().Start(), g.r.part.Log().End()
}

// HighWatermark implements coordinator.Log.
func (g groupLog) HighWatermark() model.Offset { return g.r.part.HighWatermark() }

// groupSettings is what groups obey under an image.
type groupSettings struct {
	image  *metadata.Image
	config group.Config
}

// groupConfig reads what groups obey from the configuration as it stands now.
func groupConfig(v config.Values, topic config.TopicValues) group.Config {
	c := group.DefaultConfig()
	c.MinSessionTimeout = v.Duration("group.min.session.timeout.ms")
	c.MaxSessionTimeout = v.Duration("group.max.session.timeout.ms")
	c.InitialRebalanceDelay = v.Duration("group.initial.rebalance.delay.ms")
	c.MaxSize = v.Int("group.max.size")
	c.OffsetMetadataMaxBytes = v.Int("offset.metadata.max.bytes")
	c.OffsetsRetention = v.Duration("offsets.retention.minutes")
	c.OffsetsRetentionCheck = v.Duration("offsets.retention.check.interval.ms")
	c.CommitTimeout = v.Duration("offsets.commit.timeout.ms")
	c.OffsetsTopicBatchBytes = topic.MaxMessageBytes
	return c
}
