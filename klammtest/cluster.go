package klammtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klamm/klamm/internal/node"
)

// Cluster is several running brokers that found each other as processes on different machines would, over their node ports.
type Cluster struct {
	t testing.TB
	// Brokers by node id: the first has id 1.
	Brokers []*Broker
}

// Brokers sets how many brokers a cluster has; 3 when it is not given.
func Brokers(n int) Option { return func(o *options) { o.brokers = n } }

// Racks puts the brokers of a new cluster into racks, in turn: the first broker into the first rack.
func Racks(names ...string) Option { return func(o *options) { o.racks = names } }

// NewCluster starts a cluster and stops it when the test ends. Every broker has a temporary directory of its own. All of them are ready
// and part of the cluster when it returns.
func NewCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	o := gather(opts)
	c := &Cluster{t: t}
	// The addresses have to be known before the first broker starts, and the sockets that have them must not be lost to somebody else.
	var sockets []net.Listener
	for range o.brokers {
		s, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("klammtest: %v", err)
		}
		sockets = append(sockets, s)
	}
	// Founders are numbered in the order of their addresses.
	slices.SortFunc(sockets, func(a, b net.Listener) int { return strings.Compare(a.Addr().String(), b.Addr().String()) })
	var addrs []string
	for _, s := range sockets {
		addrs = append(addrs, s.Addr().String())
	}
	for i, s := range sockets {
		b := newBroker(t, opts)
		b.flags.Join, b.flags.NodeListen, b.flags.NodeSocket = strings.Join(addrs, ","), addrs[i], s
		if len(o.racks) > 0 {
			b.flags.Set = append(b.flags.Set, "broker.rack="+o.racks[i%len(o.racks)])
		}
		c.Brokers = append(c.Brokers, b)
	}
	c.Start()
	return c
}

// Start starts every broker that is not running, all at once: a cluster can only be entered when most of it is there.
func (c *Cluster) Start() {
	c.t.Helper()
	errs := make([]error, len(c.Brokers))
	var wg sync.WaitGroup
	for i, b := range c.Brokers {
		if b.node == nil {
			wg.Go(func() { errs[i] = b.tryStart() })
		}
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			c.t.Fatalf("klammtest: broker %d does not start: %v", i+1, err)
		}
	}
}

// Join starts one more broker, which asks the others for its place, and returns it.
func (c *Cluster) Join(opts ...Option) *Broker {
	c.t.Helper()
	b := newBroker(c.t, opts)
	b.flags.Join = c.Brokers[0].flags.NodeListen
	c.Brokers = append(c.Brokers, b)
	b.start()
	return b
}

// Addrs are the addresses Kafka clients connect to.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, b := range c.Brokers {
		addrs = append(addrs, b.Addr())
	}
	return addrs
}

// NodeAddrs are the addresses other nodes connect to, for a node that is to join.
func (c *Cluster) NodeAddrs() []string {
	var addrs []string
	for _, b := range c.Brokers {
		addrs = append(addrs, b.flags.NodeListen)
	}
	return addrs
}

// Broker is the broker of a node id.
func (c *Cluster) Broker(id int) *Broker {
	c.t.Helper()
	for _, b := range c.Brokers {
		if int(b.NodeID()) == id {
			return b
		}
	}
	c.t.Fatalf("klammtest: no broker %d runs", id)
	return nil
}

// Stop ends every broker in order, as a rolling shutdown would.
func (c *Cluster) Stop() {
	c.t.Helper()
	for _, b := range c.Brokers {
		b.Stop()
	}
}

// options are what the Options of a test come to.
type options struct {
	flags   node.Flags
	brokers int
	racks   []string
}

func gather(opts []Option) *options {
	o := &options{brokers: 3}
	for _, f := range opts {
		f(o)
	}
	return o
}

// newBroker prepares a broker that is not started.
func newBroker(t testing.TB, opts []Option) *Broker {
	t.Helper()
	o := gather(append([]Option{Set("group.initial.rebalance.delay.ms", "0")}, opts...))
	b := &Broker{t: t, log: &testLog{}, flags: o.flags}
	b.flags.Listen, b.flags.NodeListen, b.flags.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	b.flags.Version, b.flags.Stdout, b.flags.Stderr = "klammtest", io.Discard, b.log
	if b.flags.Data == "" {
		b.flags.Data = t.TempDir()
	}
	t.Cleanup(func() {
		b.Stop()
		if t.Failed() {
			t.Logf("the log of the broker at %s:\n%s", b.flags.Listen, b.log)
		}
	})
	return b
}

func (b *Broker) tryStart() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	n, err := node.Start(ctx, b.flags)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace([]byte(b.log.String())))
	}
	b.node = n
	// A restart comes back where clients and other nodes look for it.
	b.flags.Listen, b.flags.NodeListen, b.flags.HTTPListen = n.KafkaAddr(), n.NodeAddr(), n.HTTPAddr()
	b.flags.NodeSocket = nil
	return nil
}
