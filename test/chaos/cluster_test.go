package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/process"
)

// cluster is three klamm processes.
type cluster struct {
	t     *testing.T
	dir   string
	kafka []string // where clients connect
	peers []string // where the others do
	nodes []*process.Node
}

const clusterSize = 3

// freeAddrs are addresses nobody listens at right now. They are drawn together, so that they differ.
func freeAddrs(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	addrs := freeAddrs(t, 2*clusterSize)
	c := &cluster{t: t, dir: t.TempDir(), kafka: addrs[:clusterSize], peers: addrs[clusterSize:], nodes: make([]*process.Node, clusterSize)}
	c.start()
	t.Cleanup(func() {
		for i, n := range c.nodes {
			if n == nil {
				continue
			}
			n.Kill()
			if t.Failed() {
				t.Logf("last lines of node %d:\n%s", i+1, n.Log())
			}
		}
	})
	return c
}

// start starts every node that does not run, all at once.
func (c *cluster) start() {
	c.t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, clusterSize)
	for i := range c.nodes {
		if c.nodes[i] == nil {
			wg.Go(func() {
				c.nodes[i], errs[i] = process.TryStart(process.Binary(c.t), filepath.Join(c.dir, strconv.Itoa(i)), c.kafka[i],
					"--node-listen", c.peers[i], "--join", strings.Join(c.peers, ","))
			})
		}
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			c.t.Fatalf("node %d: %v", i+1, err)
		}
	}
}

func (c *cluster) kill(which ...int) {
	for _, i := range which {
		c.nodes[i].Kill()
		c.nodes[i] = nil
	}
}

// healed waits until every partition has all its replicas in sync.
func (c *cluster) healed(ctx context.Context, topic string) {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.kafka...), kgo.MetadataMinAge(20*time.Millisecond)) // 5 s, and it answers from memory
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for {
		m, err := adm.Metadata(ctx, topic)
		if err == nil {
			err = m.Topics[topic].Err
			for _, p := range m.Topics[topic].Partitions {
				if len(p.ISR) < clusterSize || p.Leader < 0 {
					err = fmt.Errorf("partition %d: leader %d, ISR %v", p.Partition, p.Leader, p.ISR)
				}
			}
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("the cluster does not heal: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // asks again; orders nothing
	}
}

// TestClusterUnderLoad breaks one to all nodes of a cluster again and again, in every way a process can be broken from outside, while idempotent
// producers write with acks=all and min.insync.replicas=2. In the end every acknowledged record stands where it was acknowledged, none stands
// twice, and each producer's order holds (R1, R4, L5, P1).
func TestClusterUnderLoad(t *testing.T) {
	rounds := 20
	if v := os.Getenv("CHAOS_ROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		rounds = 5
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("CHAOS_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CHAOS_SEED=%d, %d rounds", seed, rounds)
	rng := rand.New(rand.NewPCG(seed, 2))
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()

	c := startCluster(t)
	const topic = "broken"
	makeReplicated(ctx, t, c, topic, 4)
	seeds := strings.Join(c.kafka, ",")
	load := startLoad(ctx, t, seeds, topic, 3)
	for i := range rounds {
		load.awaitProgress(ctx, t, 50)
		begin := time.Now()
		what := c.breakSomething(rng)
		load.awaitProgress(ctx, t, 50)
		c.healed(ctx, topic)
		t.Logf("round %d: %s, healed after %v", i+1, what, time.Since(begin).Round(time.Millisecond))
	}
	acks, sent := load.stop(t)
	t.Logf("%d acknowledged of %d sent", len(acks), sent)
	checkLog(ctx, t, seeds, topic, acks)
}

func makeReplicated(ctx context.Context, t *testing.T, c *cluster, topic string, partitions int32) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.kafka...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	two := "2"
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, clusterSize, map[string]*string{"min.insync.replicas": &two}, topic); err != nil {
		t.Fatal(err)
	}
	c.healed(ctx, topic)
}

// breakSomething does one bad thing and mends it.
func (c *cluster) breakSomething(rng *rand.Rand) string {
	c.t.Helper()
	order := rng.Perm(clusterSize)
	one := order[0]
	switch rng.IntN(6) {
	case 0, 1:
		c.kill(one)
		c.start()
		return fmt.Sprintf("kill -9 node %d", one+1)
	case 2:
		c.kill(order[:2]...)
		c.start()
		return fmt.Sprintf("kill -9 nodes %d and %d", order[0]+1, order[1]+1)
	case 3:
		c.kill(order...)
		c.start()
		return "kill -9 all nodes"
	case 4:
		if err := c.nodes[one].Terminate(20 * time.Second); err != nil {
			c.t.Fatalf("node %d: %v", one+1, err)
		}
		c.nodes[one] = nil
		c.start()
		return fmt.Sprintf("SIGTERM node %d", one+1)
	}
	// Shorter than a broker's session (9 s), or longer: the one that wakes up after it must find out that it leads no more.
	pause := time.Duration(200+rng.IntN(3_000)) * time.Millisecond
	if rng.IntN(2) == 0 {
		pause += 9 * time.Second
	}
	pid := c.nodes[one].PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	over := time.NewTimer(pause)
	<-over.C
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("SIGSTOP node %d for %v", one+1, pause.Round(time.Millisecond))
}
