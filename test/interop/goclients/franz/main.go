// Command franz goes through the interop cases (test/interop/cases.go) with franz-go. Arguments: bootstrap addresses, prefix of names.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/interop/goclients/say"
)

type check struct {
	bootstrap []string
	prefix    string
	admin     *kadm.Client
	first     time.Time
}

func main() {
	c := &check{bootstrap: strings.Split(os.Args[1], ","), prefix: os.Args[2], first: time.Now().Truncate(time.Second).Add(-10 * time.Minute)}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...))
	if err != nil {
		panic(err)
	}
	defer cl.Close()
	c.admin = kadm.NewClient(cl)
	c.topics()
	c.produce()
	c.consume()
	c.group()
	c.offsets()
}

// run prints a case; Kafka's errors become their numbers.
func run(name string, body func(ctx context.Context) (string, error)) {
	say.Case(name, func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), say.Limit)
		defer cancel()
		detail, err := body(ctx)
		var ke *kerr.Error
		if errors.As(err, &ke) {
			err = say.Code(ke.Code)
		}
		return detail, err
	})
}

func (c *check) create(ctx context.Context, topic string, partitions int32, configs map[string]*string) error {
	r, err := c.admin.CreateTopic(ctx, partitions, -1, configs, topic)
	if err == nil {
		err = r.Err
	}
	return err
}

// partitions says how many partitions the topic has, once as many are seen as are expected: Kafka's broker learns of them after its controller.
func (c *check) partitions(ctx context.Context, topic string, expected int) (string, error) {
	found := -1
	var err error
	say.Wait(func() bool {
		var details kadm.TopicDetails
		if details, err = c.admin.ListTopics(ctx, topic); err != nil {
			return true
		}
		found, err = len(details[topic].Partitions), details[topic].Err
		return found == expected
	})
	return fmt.Sprintf("partitions=%d", found), err
}

func (c *check) topics() {
	basic := c.prefix + "-basic"
	hour, oops := "3600000", "oops"
	run("topic.create", func(ctx context.Context) (string, error) {
		if err := c.create(ctx, basic, 3, map[string]*string{"retention.ms": &hour}); err != nil {
			return "", err
		}
		return c.partitions(ctx, basic, 3)
	})
	run("topic.config", func(ctx context.Context) (string, error) {
		configs, err := c.admin.DescribeTopicConfigs(ctx, basic)
		if err != nil {
			return "", err
		}
		for _, config := range configs[0].Configs {
			if config.Key == "retention.ms" {
				return "retention.ms=" + config.MaybeValue(), nil
			}
		}
		return "retention.ms=", configs[0].Err
	})
	run("topic.partitions", func(ctx context.Context) (string, error) {
		r, err := c.admin.UpdatePartitions(ctx, 5, basic)
		if err == nil {
			err = r.Error()
		}
		if err != nil {
			return "", err
		}
		return c.partitions(ctx, basic, 5)
	})
	run("topic.exists", func(ctx context.Context) (string, error) { return "", c.create(ctx, basic, 1, nil) })
	run("topic.bad-config", func(ctx context.Context) (string, error) {
		return "", c.create(ctx, c.prefix+"-bad", 1, map[string]*string{"retention.ms": &oops})
	})
	run("topic.bad-name", func(ctx context.Context) (string, error) { return "", c.create(ctx, "bad name!", 1, nil) })
	run("topic.delete", func(ctx context.Context) (string, error) {
		r, err := c.admin.DeleteTopics(ctx, basic)
		if err == nil {
			err = r.Error()
		}
		if err != nil {
			return "", err
		}
		all, err := c.admin.ListTopics(ctx)
		return fmt.Sprintf("listed=%t", all.Has(basic)), err
	})
	run("topic.unknown", func(ctx context.Context) (string, error) {
		r, err := c.admin.DeleteTopics(ctx, c.prefix+"-unknown")
		if err == nil {
			err = r.Error()
		}
		return "", err
	})
}

func (c *check) produce() {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for _, codec := range say.Codecs() {
		run("produce."+codec, func(ctx context.Context) (string, error) {
			topic := c.prefix + "-" + codec
			if err := c.create(ctx, topic, 1, nil); err != nil {
				return "", err
			}
			cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...), kgo.ProducerBatchCompression(codecs[codec]))
			if err != nil {
				return "", err
			}
			defer cl.Close()
			var records []*kgo.Record
			for i := range say.Records {
				records = append(records, &kgo.Record{Topic: topic, Key: []byte(say.Key(i)), Value: []byte(say.Value(codec, i)),
					Timestamp: c.first.Add(time.Duration(i) * time.Second), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(strconv.Itoa(i))}}})
			}
			err = cl.ProduceSync(ctx, records...).FirstErr()
			return fmt.Sprintf("records=%d last=%d", len(records), records[len(records)-1].Offset), err
		})
	}
	run("produce.too-large", func(ctx context.Context) (string, error) {
		limit := "1000"
		if err := c.create(ctx, c.prefix+"-small", 1, map[string]*string{"max.message.bytes": &limit}); err != nil {
			return "", err
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...))
		if err != nil {
			return "", err
		}
		defer cl.Close()
		return "", cl.ProduceSync(ctx, &kgo.Record{Topic: c.prefix + "-small", Value: say.Noise(5000)}).FirstErr()
	})
}

func (c *check) consume() {
	none := c.prefix + "-none"
	run("consume.beginning", func(ctx context.Context) (string, error) {
		var topics []string
		for _, codec := range say.Codecs() {
			topics = append(topics, c.prefix+"-"+codec)
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return "", err
		}
		defer cl.Close()
		records, wrong := 0, 0
		for records < say.Records*len(topics) && ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return "", err
			}
			fetches.EachRecord(func(r *kgo.Record) {
				records++
				i := int(r.Offset)
				if string(r.Key) != say.Key(i) || string(r.Value) != say.Value(r.Topic[len(c.prefix)+1:], i) ||
					!r.Timestamp.Equal(c.first.Add(time.Duration(i)*time.Second)) || string(r.Headers[0].Value) != strconv.Itoa(i) {
					wrong++
				}
			})
		}
		return fmt.Sprintf("records=%d wrong=%d", records, wrong), nil
	})
	run("consume.from-time", func(ctx context.Context) (string, error) {
		offsets, err := c.admin.ListOffsetsAfterMilli(ctx, c.first.UnixMilli()+24_500, none)
		o, _ := offsets.Lookup(none, 0)
		return fmt.Sprintf("offset=%d", o.Offset), err
	})
	run("consume.out-of-range", func(ctx context.Context) (string, error) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{none: {0: kgo.NewOffset().At(1000)}}))
		if err != nil {
			return "", err
		}
		defer cl.Close()
		return "", cl.PollFetches(ctx).Err()
	})
	run("offsets.ends", func(ctx context.Context) (string, error) {
		first, err := c.admin.ListStartOffsets(ctx, none)
		if err != nil {
			return "", err
		}
		next, err := c.admin.ListEndOffsets(ctx, none)
		f, _ := first.Lookup(none, 0)
		n, _ := next.Lookup(none, 0)
		return fmt.Sprintf("first=%d next=%d", f.Offset, n.Offset), err
	})
}

// member is one member of the group.
type member struct {
	cl     *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
	owned  say.Owned
}

func (c *check) join(topic string, seen *say.Seen) (*member, error) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{cancel: cancel, done: make(chan struct{})}
	change := func(sign int) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.owned.Add(sign * len(p[topic])) }
	}
	var err error
	m.cl, err = kgo.NewClient(kgo.SeedBrokers(c.bootstrap...), kgo.ConsumerGroup(c.prefix+"-members"), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(200*time.Millisecond), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)))
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			fetches := m.cl.PollFetches(ctx)
			fetches.EachRecord(func(r *kgo.Record) {
				seen.Add(r.Value)
				m.cl.MarkCommitRecords(r)
			})
			m.cl.AllowRebalance()
		}
	}()
	return m, nil
}

func (m *member) leave() {
	m.cancel()
	<-m.done
	m.cl.CloseAllowingRebalance()
}

func (c *check) group() {
	topic := c.prefix + "-group"
	var seen say.Seen
	var one, two *member
	run("group.join", func(ctx context.Context) (string, error) {
		if err := c.create(ctx, topic, 4, nil); err != nil {
			return "", err
		}
		var err error
		if one, err = c.join(topic, &seen); err != nil {
			return "", err
		}
		say.Wait(func() bool { return one.owned.Len() == 4 })
		return fmt.Sprintf("partitions=%d", one.owned.Len()), nil
	})
	run("group.share", func(context.Context) (string, error) {
		var err error
		if two, err = c.join(topic, &seen); err != nil {
			return "", err
		}
		say.Wait(func() bool { return one.owned.Len() == 2 && two.owned.Len() == 2 })
		return fmt.Sprintf("partitions=%d+%d", one.owned.Len(), two.owned.Len()), nil
	})
	run("group.records", func(ctx context.Context) (string, error) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return "", err
		}
		defer cl.Close()
		for i := range 40 {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: fmt.Appendf(nil, "m-%d", i)}).FirstErr(); err != nil {
				return "", err
			}
		}
		say.Wait(func() bool { return seen.Len() == 40 })
		return seen.String(), nil
	})
	run("group.leave", func(context.Context) (string, error) {
		two.leave()
		say.Wait(func() bool { return one.owned.Len() == 4 })
		return fmt.Sprintf("partitions=%d", one.owned.Len()), nil
	})
	one.leave()
}

// startsAt is the offset that a new member of the group reads first.
func (c *check) startsAt(ctx context.Context, group string) (string, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(c.prefix+"-none"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	fetches := cl.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		return "", err
	}
	return fmt.Sprintf("offset=%d", fetches.Records()[0].Offset), nil
}

func (c *check) commit(ctx context.Context, group string, at int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(c.prefix+"-none", 0, at, -1)
	r, err := c.admin.CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = r.Error()
	}
	return err
}

func (c *check) offsets() {
	group, none := c.prefix+"-offsets", c.prefix+"-none"
	run("offsets.commit", func(ctx context.Context) (string, error) {
		if err := c.commit(ctx, group, 7); err != nil {
			return "", err
		}
		offsets, err := c.admin.FetchOffsets(ctx, group)
		o, _ := offsets.Lookup(none, 0)
		return fmt.Sprintf("offset=%d", o.At), err
	})
	run("offsets.resume", func(ctx context.Context) (string, error) { return c.startsAt(ctx, group) })
	run("offsets.reset", func(ctx context.Context) (string, error) {
		if err := c.commit(ctx, group, 0); err != nil {
			return "", err
		}
		return c.startsAt(ctx, group)
	})
	drop := func(group string) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			r, err := c.admin.DeleteGroup(ctx, group)
			if err == nil {
				err = r.Err
			}
			return "", err
		}
	}
	run("group.delete", drop(group))
	run("group.unknown", drop(c.prefix+"-nobody"))
	run("records.delete", func(ctx context.Context) (string, error) {
		var offsets kadm.Offsets
		offsets.AddOffset(none, 0, 10, -1)
		r, err := c.admin.DeleteRecords(ctx, offsets)
		if err == nil {
			err = r.Error()
		}
		if err != nil {
			return "", err
		}
		first, err := c.admin.ListStartOffsets(ctx, none)
		f, _ := first.Lookup(none, 0)
		return fmt.Sprintf("first=%d", f.Offset), err
	})
}
