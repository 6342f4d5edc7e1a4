// Command sarama goes through the interop cases (test/interop/cases.go) with IBM's sarama. Arguments: bootstrap addresses, prefix of names.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/klamm/klamm/test/interop/goclients/say"
)

type check struct {
	prefix string
	client sarama.Client
	admin  sarama.ClusterAdmin
	first  time.Time
}

// config is what every client here starts from.
func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V4_0_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	c.Consumer.Return.Errors = true
	return c
}

func main() {
	client, err := sarama.NewClient(strings.Split(os.Args[1], ","), config())
	if err != nil {
		panic(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		panic(err)
	}
	c := &check{prefix: os.Args[2], client: client, admin: admin, first: time.Now().Truncate(time.Second).Add(-10 * time.Minute)}
	c.topics()
	c.produce()
	c.consume()
	c.group()
	c.offsets()
}

// run prints a case; Kafka's errors become their numbers.
func run(name string, body func() (string, error)) {
	say.Case(name, func() (string, error) {
		detail, err := body()
		var k sarama.KError
		if errors.As(err, &k) {
			err = say.Code(k)
		}
		return detail, err
	})
}

func (c *check) create(topic string, partitions int32, configs map[string]*string) error {
	return c.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1, ConfigEntries: configs}, false)
}

// partitions says how many partitions the topic has, once as many are seen as are expected: Kafka's broker learns of them after its controller.
func (c *check) partitions(topic string, expected int) (string, error) {
	found := -1
	var err error
	say.Wait(func() bool {
		var details []*sarama.TopicMetadata
		if details, err = c.admin.DescribeTopics([]string{topic}); err != nil {
			return true
		}
		found = len(details[0].Partitions)
		return found == expected
	})
	return fmt.Sprintf("partitions=%d", found), err
}

func (c *check) topics() {
	basic := c.prefix + "-basic"
	hour, oops := "3600000", "oops"
	run("topic.create", func() (string, error) {
		if err := c.create(basic, 3, map[string]*string{"retention.ms": &hour}); err != nil {
			return "", err
		}
		return c.partitions(basic, 3)
	})
	run("topic.config", func() (string, error) {
		entries, err := c.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: basic})
		for _, e := range entries {
			if e.Name == "retention.ms" {
				return "retention.ms=" + e.Value, err
			}
		}
		return "retention.ms=", err
	})
	run("topic.partitions", func() (string, error) {
		if err := c.admin.CreatePartitions(basic, 5, nil, false); err != nil {
			return "", err
		}
		return c.partitions(basic, 5)
	})
	run("topic.exists", func() (string, error) { return "", c.create(basic, 1, nil) })
	run("topic.bad-config", func() (string, error) {
		return "", c.create(c.prefix+"-bad", 1, map[string]*string{"retention.ms": &oops})
	})
	run("topic.bad-name", func() (string, error) { return "", c.create("bad name!", 1, nil) })
	run("topic.delete", func() (string, error) {
		if err := c.admin.DeleteTopic(basic); err != nil {
			return "", err
		}
		all, err := c.admin.ListTopics()
		_, listed := all[basic]
		return fmt.Sprintf("listed=%t", listed), err
	})
	run("topic.unknown", func() (string, error) { return "", c.admin.DeleteTopic(c.prefix + "-unknown") })
}

func (c *check) producer(codec sarama.CompressionCodec) (sarama.SyncProducer, error) {
	cfg := config()
	cfg.Producer.Compression = codec
	cfg.Producer.Flush.Messages = say.Records
	cfg.Producer.Flush.Frequency = 20 * time.Millisecond
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	return sarama.NewSyncProducer(strings.Split(os.Args[1], ","), cfg)
}

func (c *check) produce() {
	codecs := map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	for _, codec := range say.Codecs() {
		run("produce."+codec, func() (string, error) {
			topic := c.prefix + "-" + codec
			if err := c.create(topic, 1, nil); err != nil {
				return "", err
			}
			p, err := c.producer(codecs[codec])
			if err != nil {
				return "", err
			}
			defer p.Close()
			var messages []*sarama.ProducerMessage
			for i := range say.Records {
				messages = append(messages, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(say.Key(i)), Value: sarama.StringEncoder(say.Value(codec, i)),
					Timestamp: c.first.Add(time.Duration(i) * time.Second), Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(strconv.Itoa(i))}}})
			}
			err = p.SendMessages(messages)
			return fmt.Sprintf("records=%d last=%d", len(messages), messages[len(messages)-1].Offset), err
		})
	}
	run("produce.too-large", func() (string, error) {
		limit := "1000"
		if err := c.create(c.prefix+"-small", 1, map[string]*string{"max.message.bytes": &limit}); err != nil {
			return "", err
		}
		p, err := c.producer(sarama.CompressionNone)
		if err != nil {
			return "", err
		}
		defer p.Close()
		_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: c.prefix + "-small", Value: sarama.ByteEncoder(say.Noise(5000))})
		return "", err
	})
}

// read passes n records of a partition to each, from the offset on.
func (c *check) read(topic string, offset int64, n int, each func(*sarama.ConsumerMessage)) error {
	consumer, err := sarama.NewConsumerFromClient(c.client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	p, err := consumer.ConsumePartition(topic, 0, offset)
	if err != nil {
		return err
	}
	defer p.Close()
	limit := time.After(say.Limit)
	for range n {
		select {
		case m := <-p.Messages():
			each(m)
		case e := <-p.Errors():
			return e.Err
		case <-limit:
			return errors.New("timed out")
		}
	}
	return nil
}

func (c *check) consume() {
	none := c.prefix + "-none"
	run("consume.beginning", func() (string, error) {
		records, wrong := 0, 0
		for _, codec := range say.Codecs() {
			err := c.read(c.prefix+"-"+codec, sarama.OffsetOldest, say.Records, func(m *sarama.ConsumerMessage) {
				records++
				i := int(m.Offset)
				if string(m.Key) != say.Key(i) || string(m.Value) != say.Value(codec, i) || !m.Timestamp.Equal(c.first.Add(time.Duration(i)*time.Second)) ||
					string(m.Headers[0].Value) != strconv.Itoa(i) {
					wrong++
				}
			})
			if err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("records=%d wrong=%d", records, wrong), nil
	})
	run("consume.from-time", func() (string, error) {
		o, err := c.client.GetOffset(none, 0, c.first.UnixMilli()+24_500)
		return fmt.Sprintf("offset=%d", o), err
	})
	run("consume.out-of-range", func() (string, error) {
		return "", c.read(none, 1000, 1, func(*sarama.ConsumerMessage) {})
	})
	run("offsets.ends", func() (string, error) {
		first, err := c.client.GetOffset(none, 0, sarama.OffsetOldest)
		if err != nil {
			return "", err
		}
		next, err := c.client.GetOffset(none, 0, sarama.OffsetNewest)
		return fmt.Sprintf("first=%d next=%d", first, next), err
	})
}

// member is one member of the group; it implements sarama.ConsumerGroupHandler.
type member struct {
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
	done   chan struct{}
	owned  say.Owned
	seen   func(*sarama.ConsumerMessage)
	// commits is false for a member that only looks.
	commits bool
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	for _, partitions := range s.Claims() {
		m.owned.Add(len(partitions))
	}
	return nil
}

func (m *member) Cleanup(s sarama.ConsumerGroupSession) error {
	for _, partitions := range s.Claims() {
		m.owned.Add(-len(partitions))
	}
	return nil
}

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			m.seen(msg)
			if m.commits {
				s.MarkMessage(msg, "")
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func (c *check) join(group, topic string, commits bool, seen func(*sarama.ConsumerMessage)) (*member, error) {
	g, err := sarama.NewConsumerGroup(strings.Split(os.Args[1], ","), group, config())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{group: g, cancel: cancel, done: make(chan struct{}), seen: seen, commits: commits}
	go func() {
		for range g.Errors() { // drained, as the library asks
		}
	}()
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, m); err != nil {
				fmt.Fprintln(os.Stderr, "consume:", err)
				return
			}
		}
	}()
	return m, nil
}

func (m *member) leave() {
	m.cancel()
	<-m.done
	_ = m.group.Close()
}

func (c *check) group() {
	topic, group := c.prefix+"-group", c.prefix+"-members"
	var seen say.Seen
	note := func(m *sarama.ConsumerMessage) { seen.Add(m.Value) }
	var one, two *member
	run("group.join", func() (string, error) {
		err := c.create(topic, 4, nil)
		if err != nil {
			return "", err
		}
		if one, err = c.join(group, topic, true, note); err != nil {
			return "", err
		}
		say.Wait(func() bool { return one.owned.Len() == 4 })
		return fmt.Sprintf("partitions=%d", one.owned.Len()), nil
	})
	run("group.share", func() (string, error) {
		var err error
		if two, err = c.join(group, topic, true, note); err != nil {
			return "", err
		}
		say.Wait(func() bool { return one.owned.Len() == 2 && two.owned.Len() == 2 })
		return fmt.Sprintf("partitions=%d+%d", one.owned.Len(), two.owned.Len()), nil
	})
	run("group.records", func() (string, error) {
		p, err := c.producer(sarama.CompressionNone)
		if err != nil {
			return "", err
		}
		defer p.Close()
		var messages []*sarama.ProducerMessage
		for i := range 40 {
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: int32(i % 4), Value: sarama.StringEncoder(fmt.Sprintf("m-%d", i))})
		}
		if err := p.SendMessages(messages); err != nil {
			return "", err
		}
		say.Wait(func() bool { return seen.Len() == 40 })
		return seen.String(), nil
	})
	run("group.leave", func() (string, error) {
		two.leave()
		say.Wait(func() bool { return one.owned.Len() == 4 })
		return fmt.Sprintf("partitions=%d", one.owned.Len()), nil
	})
	one.leave()
}

// startsAt is the offset that a new member of the group reads first.
func (c *check) startsAt(group string) (string, error) {
	first := make(chan int64, 100)
	m, err := c.join(group, c.prefix+"-none", false, func(m *sarama.ConsumerMessage) {
		select {
		case first <- m.Offset:
		default:
		}
	})
	if err != nil {
		return "", err
	}
	defer m.leave()
	select {
	case o := <-first:
		return fmt.Sprintf("offset=%d", o), nil
	case <-time.After(say.Limit):
		return "", errors.New("timed out")
	}
}

// commit stores an offset for the group, without a member.
func (c *check) commit(group string, offset int64) error {
	coordinator, err := c.client.Coordinator(group)
	if err != nil {
		return err
	}
	r := &sarama.OffsetCommitRequest{Version: 2, ConsumerGroup: group, ConsumerGroupGeneration: -1, RetentionTime: -1}
	r.AddBlock(c.prefix+"-none", 0, offset, 0, "")
	answer, err := coordinator.CommitOffset(r)
	if err != nil {
		return err
	}
	if k := answer.Errors[c.prefix+"-none"][0]; k != sarama.ErrNoError {
		return k
	}
	return nil
}

func (c *check) offsets() {
	group, none := c.prefix+"-offsets", c.prefix+"-none"
	run("offsets.commit", func() (string, error) {
		if err := c.commit(group, 7); err != nil {
			return "", err
		}
		r, err := c.admin.ListConsumerGroupOffsets(group, map[string][]int32{none: {0}})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("offset=%d", r.GetBlock(none, 0).Offset), nil
	})
	run("offsets.resume", func() (string, error) { return c.startsAt(group) })
	run("offsets.reset", func() (string, error) {
		if err := c.commit(group, 0); err != nil {
			return "", err
		}
		return c.startsAt(group)
	})
	run("group.delete", func() (string, error) { return "", c.admin.DeleteConsumerGroup(group) })
	run("group.unknown", func() (string, error) { return "", c.admin.DeleteConsumerGroup(c.prefix + "-nobody") })
	run("records.delete", func() (string, error) {
		if err := c.admin.DeleteRecords(none, map[int32]int64{0: 10}); err != nil {
			return "", err
		}
		first, err := c.client.GetOffset(none, 0, sarama.OffsetOldest)
		return fmt.Sprintf("first=%d", first), err
	})
}
