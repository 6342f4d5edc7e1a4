package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/test/lab"
)

// cut takes both ways between a machine and these addresses.
func cut(from ...string) []lab.Rule { return []lab.Rule{lab.Deaf(from...), lab.Mute(from...)} }

// cutOne takes a machine off the network, for clients too.
func cutOne(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	return c.broken(what+" from everybody", m, 2*c.session, cut(append(c.f.others(m), c.f.lab.Self())...)...)
}

func cutController(c *campaign) (string, error) {
	_, _, controller, err := c.roles()
	if err != nil {
		return "", err
	}
	return c.broken(fmt.Sprintf("controller %v from the other brokers", controller), controller, 2*c.session, cut(c.f.others(controller)...)...)
}

// broken has rules in force on one machine for a while, in which the others must go on.
func (c *campaign) broken(what string, m *machine, short time.Duration, rules ...lab.Rule) (string, error) {
	if err := m.host.Break(rules...); err != nil {
		return what, err
	}
	d := c.hold(short, 20*time.Second)
	err := c.during(d)
	return fmt.Sprintf("%s for %v", what, d.Round(10*time.Millisecond)), errors.Join(err, m.host.Break())
}

// cutMinority parts two brokers, together, from the other three. Clients reach both sides.
func cutMinority(c *campaign) (string, error) {
	two := c.others()[:2]
	what := fmt.Sprintf("%v and %v from the other brokers", two[0], two[1])
	for _, m := range two {
		if err := m.host.Break(cut(c.f.others(two...)...)...); err != nil {
			return what, err
		}
	}
	d := c.hold(c.session+time.Second, 20*time.Second)
	return fmt.Sprintf("%s for %v", what, d.Round(10*time.Millisecond)), errors.Join(c.during(d), two[0].host.Break(), two[1].host.Break())
}

// oneWay loses what goes one way between a machine and the other brokers: its requests, or only the answers.
func oneWay(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	others := c.f.others(m)
	rule, way := lab.Deaf(others...), "hears the others no more"
	if c.rng.IntN(2) == 0 {
		rule, way = lab.Mute(others...), "is heard by the others no more"
	}
	return c.broken(what+" "+way, m, c.session+time.Second, rule)
}

// flap cuts a machine off and lets it back, over and over.
func flap(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	rules := cut(c.f.others(m)...)
	flaps := 6
	if c.long {
		flaps = 30
	}
	for range flaps {
		if err := m.host.Break(rules...); err != nil {
			return what, err
		}
		time.Sleep(time.Duration(50+c.rng.IntN(400)) * time.Millisecond) // the fault's length
		if err := m.host.Break(); err != nil {
			return what, err
		}
		time.Sleep(time.Duration(c.rng.IntN(300)) * time.Millisecond)
	}
	return fmt.Sprintf("%s off and on %d times", what, flaps), nil
}

// loss drops packets at random everywhere.
func loss(c *campaign) (string, error) {
	percent := 10 + c.rng.IntN(21)
	what := fmt.Sprintf("%d %% of all packets", percent)
	var errs []error
	for _, m := range c.f.machines {
		errs = append(errs, m.host.Break(lab.Lossy(percent)))
	}
	d := c.hold(3*time.Second, 20*time.Second)
	for _, m := range c.f.machines {
		errs = append(errs, m.host.Break())
	}
	return fmt.Sprintf("%s for %v", what, d.Round(10*time.Millisecond)), errors.Join(errs...)
}

// resets breaks every connection of a machine, again and again.
func resets(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	from := append(c.f.others(m), c.f.lab.Self())
	times := 5
	if c.long {
		times = 20
	}
	for range times {
		if err := m.host.Break(lab.Resets(from...)); err != nil {
			return what, err
		}
		time.Sleep(time.Duration(50+c.rng.IntN(200)) * time.Millisecond) // the fault's length
		if err := m.host.Break(); err != nil {
			return what, err
		}
		time.Sleep(time.Duration(100+c.rng.IntN(300)) * time.Millisecond)
	}
	return fmt.Sprintf("all connections of %s, %d times", what, times), nil
}

// isolatedLeader cuts a leader off from the other brokers while clients still reach it: it may acknowledge nothing that needs others (R4).
// The others must get a leader of their own.
func isolatedLeader(c *campaign) (string, error) {
	if err := c.f.healed(c.ctx, probeTopic); err != nil {
		return "", err
	}
	v, err := c.f.look(c.ctx, probeTopic)
	if err != nil {
		return "", err
	}
	m := c.f.of(v.topics[probeTopic][0].Leader)
	if m == nil {
		return "", fmt.Errorf("leader %d is on no machine", v.topics[probeTopic][0].Leader)
	}
	what := fmt.Sprintf("leader %v from the other brokers, not from clients", m)
	// Connections may still be recovering from the fault before.
	for end := time.Now().Add(10 * time.Second); ; {
		if err = c.probe(m, v.ids[probeTopic]); err == nil {
			break
		}
		if time.Now().After(end) {
			return what, fmt.Errorf("whole, it acknowledges nothing: %w", err)
		}
	}
	if err := m.host.Break(cut(c.f.others(m)...)...); err != nil {
		return what, err
	}
	var asking sync.WaitGroup
	var errs [4]error
	end := time.Now().Add(2*c.session + time.Second)
	for i := range errs {
		asking.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				// What is on the wire when the cut ends may be acknowledged rightly: the answer must come before.
				if err := c.probe(m, v.ids[probeTopic]); err == nil && time.Now().Before(end) {
					errs[i] = errors.New("the isolated leader acknowledged a record with acks=all (R4)")
				}
			}
		})
	}
	asking.Wait()
	others := c.progress(20, 10*time.Second)
	return what, errors.Join(append(errs[:], others, m.host.Break())...)
}

// probe writes one record with acks=all to this machine and no other.
func (c *campaign) probe(m *machine, topic kadm.TopicID) error {
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	cl, err := c.f.client(m.kafka())
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 800
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rp.Records = oneRecord("probe")
	rt.Topic, rt.TopicID, rt.Partitions = probeTopic, topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	answer, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return err
	}
	resp, ok := answer.(*kmsg.ProduceResponse)
	if !ok || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fmt.Errorf("answer %v", answer)
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// oneRecord is a batch of one record.
func oneRecord(value string) []byte {
	now := time.Now().UnixMilli()
	r := kmsg.Record{Value: []byte(value)}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the zero length took a byte
	b := kmsg.RecordBatch{Magic: 2, PartitionLeaderEpoch: -1, FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: r.AppendTo(nil)}
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}
