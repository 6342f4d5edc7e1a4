package workload

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// Options say where the cluster is and how much to ask of it. Zero counts mean none of that kind of client; zero sizes mean their defaults.
type Options struct {
	// Seeds are the brokers' addresses, host:port.
	Seeds []string
	// Dial opens connections; nil dials the real network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Rand decides everything that is random. It is read only by New.
	Rand *rand.Rand
	// Recorder receives every op.
	Recorder *history.Recorder

	// Topic is the topic that is written and read; "work" when empty.
	Topic      string
	Partitions int32 // 8
	Replicas   int16 // 3
	Fewest     int16 // replicas that a topic of an admin may have: 1. What is there once is lost with its broker.
	// Configs are those of Topic, beside max.message.bytes.
	Configs map[string]string

	Load Load
	Pace Pace
	// Codecs are the compressions that producers choose from; none and snappy when empty. Others keep pools that outlive a synctest bubble.
	Codecs []kgo.CompressionCodec
}

// Load is how many clients of each kind there are.
type Load struct {
	Producers int
	Consumers int // by assignment, from the beginning
	Groups    int
	Members   int // of each group
	Probers   int
	Admins    int
	Bookmarks int // commits of groups without members
}

// Pace is how often clients do things. Times between two are drawn around these means.
type Pace struct {
	Send   time.Duration // of each producer; 20 ms. One time in four several records go out at once.
	Poll   time.Duration // the longest wait of a poll; 250 ms
	Commit time.Duration // of each member; 200 ms
	Probe  time.Duration // 300 ms
	Admin  time.Duration // 300 ms
	// Life is after how long a client is thrown away as if its process had died, and a new one takes its place; 20 s.
	Life time.Duration
	// Session is the session and rebalance timeout of groups' members; 6 s, the least that Kafka's default group.min.session.timeout.ms allows.
	// Members live two sessions longer than others, or a group that waits for its dead would never come to work.
	Session time.Duration
	// Timeout bounds a request; 3 s.
	Timeout time.Duration
}

// Small is a load for a few seconds on a small machine: every kind of client is there.
func Small() Load {
	return Load{Producers: 3, Consumers: 2, Groups: 1, Members: 2, Probers: 1, Admins: 1}
}

func (o *Options) setDefaults() error {
	if len(o.Seeds) == 0 || o.Rand == nil || o.Recorder == nil {
		return errors.New("workload: Seeds, Rand and Recorder must be given")
	}
	if o.Topic == "" {
		o.Topic = "work"
	}
	if o.Partitions == 0 {
		o.Partitions = 8
	}
	if o.Replicas == 0 {
		o.Replicas = 3
	}
	if o.Fewest == 0 {
		o.Fewest = 1
	}
	if len(o.Codecs) == 0 {
		o.Codecs = []kgo.CompressionCodec{kgo.NoCompression(), kgo.SnappyCompression()}
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&o.Pace.Send, 20 * time.Millisecond}, {&o.Pace.Poll, 250 * time.Millisecond}, {&o.Pace.Commit, 200 * time.Millisecond},
		{&o.Pace.Probe, 300 * time.Millisecond}, {&o.Pace.Admin, 300 * time.Millisecond}, {&o.Pace.Life, 20 * time.Second},
		{&o.Pace.Session, 6 * time.Second}, {&o.Pace.Timeout, 3 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return nil
}
