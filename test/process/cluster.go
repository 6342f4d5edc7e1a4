package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Cluster is a number of klamm processes that have formed one cluster, each on addresses that it keeps over its restarts.
type Cluster struct {
	// Kafka is where clients connect, Peers where the other nodes do, Data where each node keeps its files; all by the node's place in the list.
	Kafka, Peers, Data []string

	binary string
	args   []string

	mu struct {
		sync.Mutex
		nodes []*Node // nil while a node is down
	}
}

// StartCluster runs n nodes that join each other, with the arguments given to each, and waits until all of them serve. They are killed when the
// test ends.
func StartCluster(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	addrs, err := FreeAddrs(2 * n)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Kafka: addrs[:n], Peers: addrs[n:], binary: Binary(t), args: args}
	dir := t.TempDir()
	for i := range n {
		c.Data = append(c.Data, filepath.Join(dir, strconv.Itoa(i)))
	}
	c.mu.nodes = make([]*Node, n)
	t.Cleanup(func() {
		for i := range n {
			node := c.Node(i)
			if node == nil {
				continue
			}
			node.Kill()
			if t.Failed() {
				t.Logf("last lines of node %d (%s):\n%s", i, c.Kafka[i], node.Log())
			}
		}
	})
	if err := c.StartAll(); err != nil {
		t.Fatal(err)
	}
	return c
}

// StartAll starts every node that is down, all at once.
func (c *Cluster) StartAll() error {
	errs := make([]error, len(c.Kafka))
	var wg sync.WaitGroup
	for i := range c.Kafka {
		if c.Node(i) == nil {
			wg.Go(func() { errs[i] = c.Start(i) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Start starts node i, which is down, and waits until it serves.
func (c *Cluster) Start(i int) error {
	args := slices.Concat([]string{"--node-listen", c.Peers[i], "--join", strings.Join(c.Peers, ",")}, c.args)
	node, err := TryStart(c.binary, c.Data[i], c.Kafka[i], args...)
	if err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.nodes[i] = node
	return nil
}

// Node is the process of node i, nil while it is down.
func (c *Cluster) Node(i int) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.nodes[i]
}

// take is Node for one that is about to end.
func (c *Cluster) take(i int) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.mu.nodes[i]
	c.mu.nodes[i] = nil
	return node
}

// Kill ends node i as kill -9 does.
func (c *Cluster) Kill(i int) { c.take(i).Kill() }

// Terminate ends node i as SIGTERM does.
func (c *Cluster) Terminate(i int, limit time.Duration) error { return c.take(i).Terminate(limit) }

// FreeAddrs are addresses that nobody listens at. They lie below the ports that the kernel gives to outgoing connections, so that no client's
// connection takes one while the process that listens there is down.
func FreeAddrs(n int) ([]string, error) {
	const first, behind = 12_000, 32_000
	var addrs []string
	for tries := 0; len(addrs) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(behind-first)))
		if err != nil {
			if tries > 100*n {
				return nil, err
			}
			continue
		}
		defer l.Close() // only at the end, so that no port comes twice
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
