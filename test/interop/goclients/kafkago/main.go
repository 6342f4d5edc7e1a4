// Command kafkago goes through the interop cases (test/interop/cases.go) with segmentio's kafka-go. Arguments: bootstrap addresses, prefix of
// names.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"github.com/klamm/klamm/test/interop/goclients/say"
)

type check struct {
	bootstrap []string
	prefix    string
	client    *kafka.Client
	first     time.Time
}

func main() {
	c := &check{bootstrap: strings.Split(os.Args[1], ","), prefix: os.Args[2], first: time.Now().Truncate(time.Second).Add(-10 * time.Minute)}
	// The transport answers Metadata from a cache; it shall not be older than a case.
	c.client = &kafka.Client{Addr: kafka.TCP(c.bootstrap...), Timeout: say.Limit, Transport: &kafka.Transport{MetadataTTL: 50 * time.Millisecond}}
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
		var k kafka.Error
		var many kafka.WriteErrors
		if errors.As(err, &many) && len(many) > 0 {
			err = many[0]
		}
		if errors.As(err, &k) {
			err = say.Code(k)
		}
		return detail, err
	})
}

func (c *check) create(ctx context.Context, topic string, partitions int, configs ...kafka.ConfigEntry) error {
	r, err := c.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topic, NumPartitions: partitions, ReplicationFactor: -1, ConfigEntries: configs}}})
	if err != nil {
		return err
	}
	return r.Errors[topic]
}

// partitions says how many partitions the topic has, once the client's cached metadata shows as many as are expected.
func (c *check) partitions(ctx context.Context, topic string, expected int) (string, error) {
	found := -1
	var err error
	say.Wait(func() bool {
		var r *kafka.MetadataResponse
		if r, err = c.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}}); err != nil {
			return true
		}
		found, err = len(r.Topics[0].Partitions), r.Topics[0].Error
		return found == expected
	})
	return fmt.Sprintf("partitions=%d", found), err
}

func (c *check) topics() {
	basic := c.prefix + "-basic"
	run("topic.create", func(ctx context.Context) (string, error) {
		if err := c.create(ctx, basic, 3, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "3600000"}); err != nil {
			return "", err
		}
		return c.partitions(ctx, basic, 3)
	})
	run("topic.config", func(ctx context.Context) (string, error) {
		r, err := c.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: basic, ConfigNames: []string{"retention.ms"}}}})
		if err != nil {
			return "", err
		}
		return "retention.ms=" + r.Resources[0].ConfigEntries[0].ConfigValue, r.Resources[0].Error
	})
	run("topic.partitions", func(ctx context.Context) (string, error) {
		r, err := c.client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: basic, Count: 5}}})
		if err == nil {
			err = r.Errors[basic]
		}
		if err != nil {
			return "", err
		}
		return c.partitions(ctx, basic, 5)
	})
	run("topic.exists", func(ctx context.Context) (string, error) { return "", c.create(ctx, basic, 1) })
	run("topic.bad-config", func(ctx context.Context) (string, error) {
		return "", c.create(ctx, c.prefix+"-bad", 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "oops"})
	})
	run("topic.bad-name", func(ctx context.Context) (string, error) { return "", c.create(ctx, "bad name!", 1) })
	remove := func(ctx context.Context, topic string) error {
		r, err := c.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
		if err == nil {
			err = r.Errors[topic]
		}
		return err
	}
	run("topic.delete", func(ctx context.Context) (string, error) {
		if err := remove(ctx, basic); err != nil {
			return "", err
		}
		listed := true
		var err error
		say.Wait(func() bool {
			var r *kafka.MetadataResponse
			if r, err = c.client.Metadata(ctx, &kafka.MetadataRequest{}); err != nil {
				return true
			}
			listed = slices.ContainsFunc(r.Topics, func(t kafka.Topic) bool { return t.Name == basic })
			return !listed
		})
		return fmt.Sprintf("listed=%t", listed), err
	})
	run("topic.unknown", func(ctx context.Context) (string, error) { return "", remove(ctx, c.prefix+"-unknown") })
}

// toPartition is a balancer that takes the partition from the message's value, "m-N".
func toPartition(m kafka.Message, partitions ...int) int {
	n, err := strconv.Atoi(strings.TrimPrefix(string(m.Value), "m-"))
	if err != nil {
		return partitions[0]
	}
	return partitions[n%len(partitions)]
}

func (c *check) writer(codec compress.Compression) *kafka.Writer {
	return &kafka.Writer{Addr: kafka.TCP(c.bootstrap...), Transport: c.client.Transport, RequiredAcks: kafka.RequireAll, Compression: codec, BatchTimeout: 10 * time.Millisecond,
		Balancer: kafka.BalancerFunc(toPartition), MaxAttempts: 3}
}

func (c *check) produce() {
	codecs := map[string]compress.Compression{"none": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
	for _, codec := range say.Codecs() {
		run("produce."+codec, func(ctx context.Context) (string, error) {
			topic := c.prefix + "-" + codec
			if err := c.create(ctx, topic, 1); err != nil {
				return "", err
			}
			w := c.writer(codecs[codec])
			defer w.Close()
			last := int64(-1)
			w.Completion = func(messages []kafka.Message, _ error) { last = messages[len(messages)-1].Offset }
			var messages []kafka.Message
			for i := range say.Records {
				messages = append(messages, kafka.Message{Topic: topic, Key: []byte(say.Key(i)), Value: []byte(say.Value(codec, i)),
					Time: c.first.Add(time.Duration(i) * time.Second), Headers: []kafka.Header{{Key: "h", Value: []byte(strconv.Itoa(i))}}})
			}
			err := w.WriteMessages(ctx, messages...)
			return fmt.Sprintf("records=%d last=%d", len(messages), last), err
		})
	}
	run("produce.too-large", func(ctx context.Context) (string, error) {
		if err := c.create(ctx, c.prefix+"-small", 1, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: "1000"}); err != nil {
			return "", err
		}
		w := c.writer(compress.None)
		defer w.Close()
		return "", w.WriteMessages(ctx, kafka.Message{Topic: c.prefix + "-small", Value: say.Noise(5000)})
	})
}

func (c *check) offset(ctx context.Context, topic string, spec kafka.OffsetRequest) (kafka.PartitionOffsets, error) {
	r, err := c.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {spec}}})
	if err != nil {
		return kafka.PartitionOffsets{}, err
	}
	return r.Topics[topic][0], r.Topics[topic][0].Error
}

func (c *check) consume() {
	none := c.prefix + "-none"
	run("consume.beginning", func(ctx context.Context) (string, error) {
		records, wrong := 0, 0
		for _, codec := range say.Codecs() {
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: c.bootstrap, Topic: c.prefix + "-" + codec, MaxWait: 500 * time.Millisecond})
			for range say.Records {
				m, err := r.ReadMessage(ctx)
				if err != nil {
					return "", errors.Join(err, r.Close())
				}
				records++
				i := int(m.Offset)
				if string(m.Key) != say.Key(i) || string(m.Value) != say.Value(codec, i) || !m.Time.Equal(c.first.Add(time.Duration(i)*time.Second)) ||
					string(m.Headers[0].Value) != strconv.Itoa(i) {
					wrong++
				}
			}
			_ = r.Close()
		}
		return fmt.Sprintf("records=%d wrong=%d", records, wrong), nil
	})
	run("consume.from-time", func(ctx context.Context) (string, error) {
		p, err := c.offset(ctx, none, kafka.TimeOffsetOf(0, c.first.Add(24_500*time.Millisecond)))
		for o := range p.Offsets {
			return fmt.Sprintf("offset=%d", o), err
		}
		return "offset=", err
	})
	run("consume.out-of-range", func(ctx context.Context) (string, error) {
		r, err := c.client.Fetch(ctx, &kafka.FetchRequest{Topic: none, Partition: 0, Offset: 1000, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err == nil {
			err = r.Error
		}
		return "", err
	})
	run("offsets.ends", func(ctx context.Context) (string, error) {
		first, err := c.offset(ctx, none, kafka.FirstOffsetOf(0))
		if err != nil {
			return "", err
		}
		last, err := c.offset(ctx, none, kafka.LastOffsetOf(0))
		return fmt.Sprintf("first=%d next=%d", first.FirstOffset, last.LastOffset), err
	})
}

// member is one member of the group.
type member struct {
	group  *kafka.ConsumerGroup
	cancel context.CancelFunc
	done   chan struct{}
	owned  say.Owned
}

func (c *check) join(group, topic string, seen func(kafka.Message)) (*member, error) {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: group, Brokers: c.bootstrap, Topics: []string{topic},
		HeartbeatInterval: 200 * time.Millisecond, StartOffset: kafka.FirstOffset, JoinGroupBackoff: 100 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{group: g, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if gen, err := g.Next(ctx); err == nil {
				m.generation(c, gen, topic, seen)
			}
		}
	}()
	return m, nil
}

// generation reads the partitions of one generation until the group rebalances.
func (m *member) generation(c *check, gen *kafka.Generation, topic string, seen func(kafka.Message)) {
	m.owned.Add(len(gen.Assignments[topic]) - m.owned.Len())
	for _, a := range gen.Assignments[topic] {
		gen.Start(func(ctx context.Context) {
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: c.bootstrap, Topic: topic, Partition: a.ID, MaxWait: 100 * time.Millisecond})
			defer r.Close()
			if err := r.SetOffset(a.Offset); err != nil {
				return
			}
			for {
				msg, err := r.ReadMessage(ctx)
				if err != nil {
					return
				}
				seen(msg)
				_ = gen.CommitOffsets(map[string]map[int]int64{topic: {a.ID: msg.Offset + 1}})
			}
		})
	}
}

func (m *member) leave() {
	m.cancel()
	_ = m.group.Close()
	<-m.done
}

func (c *check) group() {
	topic, group := c.prefix+"-group", c.prefix+"-members"
	var seen say.Seen
	note := func(m kafka.Message) { seen.Add(m.Value) }
	var one, two *member
	run("group.join", func(ctx context.Context) (string, error) {
		err := c.create(ctx, topic, 4)
		if err != nil {
			return "", err
		}
		if one, err = c.join(group, topic, note); err != nil {
			return "", err
		}
		say.Wait(func() bool { return one.owned.Len() == 4 })
		return fmt.Sprintf("partitions=%d", one.owned.Len()), nil
	})
	run("group.share", func(context.Context) (string, error) {
		var err error
		if two, err = c.join(group, topic, note); err != nil {
			return "", err
		}
		say.Wait(func() bool { return one.owned.Len() == 2 && two.owned.Len() == 2 })
		return fmt.Sprintf("partitions=%d+%d", one.owned.Len(), two.owned.Len()), nil
	})
	run("group.records", func(ctx context.Context) (string, error) {
		w := c.writer(compress.None)
		defer w.Close()
		var messages []kafka.Message
		for i := range 40 {
			messages = append(messages, kafka.Message{Topic: topic, Value: fmt.Appendf(nil, "m-%d", i)})
		}
		if err := w.WriteMessages(ctx, messages...); err != nil {
			return "", err
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

// startsAt is the offset that a new member of the group is told to start from.
func (c *check) startsAt(ctx context.Context, group string) (string, error) {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: group, Brokers: c.bootstrap, Topics: []string{c.prefix + "-none"},
		StartOffset: kafka.FirstOffset})
	if err != nil {
		return "", err
	}
	defer g.Close()
	gen, err := g.Next(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("offset=%d", gen.Assignments[c.prefix+"-none"][0].Offset), nil
}

func (c *check) commit(ctx context.Context, group string, offset int64) error {
	r, err := c.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1,
		Topics: map[string][]kafka.OffsetCommit{c.prefix + "-none": {{Partition: 0, Offset: offset}}}})
	if err != nil {
		return err
	}
	return r.Topics[c.prefix+"-none"][0].Error
}

func (c *check) offsets() {
	group, none := c.prefix+"-offsets", c.prefix+"-none"
	run("offsets.commit", func(ctx context.Context) (string, error) {
		if err := c.commit(ctx, group, 7); err != nil {
			return "", err
		}
		r, err := c.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{none: {0}}})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("offset=%d", r.Topics[none][0].CommittedOffset), r.Error
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
			r, err := c.client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
			if err == nil {
				err = r.Errors[group]
			}
			return "", err
		}
	}
	run("group.delete", drop(group))
	run("group.unknown", drop(c.prefix+"-nobody"))
	run("records.delete", func(context.Context) (string, error) { return "", say.Absent("the client has no DeleteRecords") })
}
