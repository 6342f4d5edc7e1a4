// Package klammtest gives Go tests a real Klamm broker inside their own process: the same node that the klamm binary runs, with real
// files and sockets, on free ports of the loopback interface.
//
//	func TestOrders(t *testing.T) {
//		broker := klammtest.NewBroker(t)
//		client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
//		...
//	}
//
// A broker starts within milliseconds, keeps its data in a temporary directory and is gone when the test ends, with every goroutine.
package klammtest

import (
	"bytes"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/node"
)

// Broker is a running broker.
type Broker struct {
	t     testing.TB
	flags node.Flags
	node  *node.Node
	log   *testLog
}

// Option changes how a broker starts.
type Option func(*options)

// Set gives a configuration key a value, as -X key=value does on the command line.
func Set(key, value string) Option {
	return func(o *options) { o.flags.Set = append(o.flags.Set, key+"="+value) }
}

// Data keeps the data in dir instead of a temporary directory.
func Data(dir string) Option {
	return func(o *options) { o.flags.Data = dir }
}

// startLimit is far above what a start takes; a test that reaches it hangs.
const startLimit = 30 * time.Second

// NewBroker starts a broker and stops it when the test ends. The test fails when it does not start. When the test has failed, what the
// broker logged is shown. Groups rebalance at once (group.initial.rebalance.delay.ms is 0): tests should not wait for members that may
// never come.
func NewBroker(t testing.TB, options ...Option) *Broker {
	t.Helper()
	b := newBroker(t, options)
	b.start()
	return b
}

func (b *Broker) start() {
	b.t.Helper()
	if err := b.tryStart(); err != nil {
		b.t.Fatalf("klammtest: broker does not start: %v", err)
	}
}

// Addr is the address Kafka clients connect to, host:port.
func (b *Broker) Addr() string { return b.flags.Listen }

// NodeID is the broker's id; 0 while it does not run.
func (b *Broker) NodeID() int32 {
	if b.node == nil {
		return 0
	}
	return int32(b.node.ID())
}

// HTTPAddr is the address of health and metrics, host:port.
func (b *Broker) HTTPAddr() string { return b.flags.HTTPListen }

// Stop ends the broker as SIGTERM would. It may be called more than once.
func (b *Broker) Stop() {
	b.t.Helper()
	if b.node == nil {
		return
	}
	if err := b.node.Stop(); err != nil {
		b.t.Errorf("klammtest: %v", err)
	}
	b.node = nil
}

// Kill ends the broker as if its process had died: it tells nobody, and its next start has to look at its logs.
func (b *Broker) Kill() {
	b.t.Helper()
	if b.node == nil {
		return
	}
	if err := b.node.Kill(); err != nil {
		b.t.Errorf("klammtest: %v", err)
	}
	b.node = nil
}

// Wipe deletes the data of a broker that does not run: its next start is that of a new node.
func (b *Broker) Wipe() {
	b.t.Helper()
	if b.node != nil {
		b.t.Fatal("klammtest: the broker runs")
	}
	if err := os.RemoveAll(b.flags.Data); err != nil {
		b.t.Fatalf("klammtest: %v", err)
	}
}

// Restart stops the broker and starts it on the same data and addresses.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	b.start()
}

// testLog keeps what the broker logs until the test has failed.
type testLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// logLimit bounds what is kept of a chatty test.
const logLimit = 1 << 20

// Write implements io.Writer.
func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() < logLimit {
		l.buf.Write(p)
	}
	return len(p), nil
}

// String is everything written so far.
func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// DataDir is where the broker keeps its data.
func (b *Broker) DataDir() string { return b.flags.Data }

// ID is the node id of a running broker.
func (b *Broker) ID() int {
	b.t.Helper()
	if b.node == nil {
		b.t.Fatal("klammtest: the broker does not run")
	}
	return b.node.ID()
}
