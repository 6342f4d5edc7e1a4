package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// One broker and its load have a processor each. Three brokers and theirs share both: on a single one Kafka's three never get warm.
const (
	brokerCPU = "0"
	loadCPU   = "1"
	allCPUs   = "0,1"
)

// broker is one side of a comparison: a running node, or a cluster of them.
type broker struct {
	name  string // klamm or kafka
	addr  string // of the first node
	pid   int    // of the first node
	dir   string
	nodes []*node       // all of a cluster; one otherwise
	ready time.Duration // exec to first accepted connection; of a cluster: until all nodes know all
	stop  func(kill bool) error
	kgo   *kgo.Client
	admin *kadm.Client
	made  map[string]bool
}

// node is one process.
type node struct {
	id   int32 // in its cluster
	addr string
	http string // of Klamm: where profiles are
	pid  int
	stop func(kill bool) error
}

// startKlamm runs the built binary, pinned, on a free port and waits for its first accepted connection.
func startKlamm(bin, dir string, extra ...string) (*broker, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	n, err := execKlamm(brokerCPU, bin, dir, append([]string{"--listen", fmt.Sprintf("127.0.0.1:%d", port), "--node-listen", "127.0.0.1:0"}, extra...)...)
	if err != nil {
		return nil, err
	}
	b := &broker{name: "klamm", dir: dir, made: map[string]bool{}}
	if b.ready, err = awaitAccept(n.addr, begun, 30*time.Second); err != nil {
		return nil, errors.Join(fmt.Errorf("klamm: %w; see %s", err, dir), n.stop(true))
	}
	b.join([]*node{n})
	return b, b.connect()
}

// execKlamm starts a process and does not wait for anything. args begin with --listen and its address.
func execKlamm(cpu, bin, dir string, extra ...string) (*node, error) {
	http, err := freePort()
	if err != nil {
		return nil, err
	}
	n := &node{addr: extra[1], http: fmt.Sprintf("127.0.0.1:%d", http)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	args := append([]string{"-c", cpu, bin, "server", "--data", filepath.Join(dir, "data"), "--http-listen", n.http,
		"-X", "max.connections=20000", "-X", "max.connection.creation.rate=100000"}, extra...)
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("taskset", args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its log says why it ended; how it was ended is known
		close(exited)
	}()
	n.pid = cmd.Process.Pid
	n.stop = func(kill bool) error {
		sig := syscall.SIGTERM
		if kill {
			sig = syscall.SIGKILL
		}
		_ = cmd.Process.Signal(sig)
		select {
		case <-exited:
			return nil
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			return errors.New("klamm did not end within 30 s")
		}
	}
	return n, nil
}

func (b *broker) connect() error {
	seeds := []string{}
	for _, n := range b.nodes {
		seeds = append(seeds, n.addr)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return err
	}
	b.kgo = cl
	b.admin = kadm.NewClient(cl)
	b.admin.SetTimeoutMillis(30000)
	return b.awaitNodes()
}

func (b *broker) close(kill bool) error {
	b.admin.Close()
	return b.stop(kill)
}

// topic makes a topic once per broker and returns when its partitions have leaders.
func (b *broker) topic(name string, partitions int, configs map[string]string) (string, error) {
	if b.made[name] {
		return name, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := b.create(ctx, name, b.spread(partitions), configs); err != nil {
		return "", fmt.Errorf("%s: create %s: %w", b.name, name, err)
	}
	b.made[name] = true
	return name, b.awaitLeaders(ctx, name, partitions)
}

// awaitLeaders is for Kafka, which answers NOT_LEADER_OR_FOLLOWER for a moment after a topic is created.
func (b *broker) awaitLeaders(ctx context.Context, topic string, partitions int) error {
	for {
		ends, err := b.admin.ListEndOffsets(ctx, topic)
		if err == nil && ends.Error() == nil && len(ends[topic]) == partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %s has no leaders: %w", b.name, topic, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// filledTopic is a topic whose every partition holds about bytesEach of 64 KiB batches.
func (b *broker) filledTopic(name string, partitions int, bytesEach int64) (topic string, err error) {
	fresh := !b.made[name]
	if topic, err = b.topic(name, partitions, map[string]string{"segment.bytes": "1073741824"}); err != nil || !fresh {
		return topic, err
	}
	l := produceLoad{Addr: b.addr, Topic: topic, Partitions: partitions, PerRequest: 1, Conns: 1, InFlight: 5, BatchBytes: 64 << 10, ValueSize: 1000, Acks: 1,
		Requests: int(bytesEach/(64<<10)) * partitions}
	_, err = childLoad("produce", l)
	return topic, err
}

// measure runs a load and returns what it saw with the CPU seconds the broker spent meanwhile.
func (b *broker) measure(kind string, load any) (loadResult, float64, error) {
	before, err := b.cpu()
	if err != nil {
		return loadResult{}, 0, err
	}
	res, err := childLoadOn(b.loadCPU(), kind, load)
	if err != nil {
		return res, 0, fmt.Errorf("%s: %w", b.name, err)
	}
	after, err := b.cpu()
	return res, after - before, err
}

func (b *broker) loadCPU() string {
	if len(b.nodes) > 1 {
		return allCPUs
	}
	return loadCPU
}

// cpu is what all processes of this side have used.
func (b *broker) cpu() (seconds float64, err error) {
	for _, n := range b.nodes {
		s, err := cpuSeconds(n.pid)
		if err != nil {
			return 0, err
		}
		seconds += s
	}
	return seconds, nil
}

// freePort finds a port that nobody listens on, below those that the system gives to outgoing connections: one of those may be taken by the
// time the broker wants it.
func freePort() (int, error) {
	const from, to, tries = 15000, 32000, 100
	var err error
	for range tries {
		port := from + rand.IntN(to-from)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

func awaitAccept(addr string, begun time.Time, limit time.Duration) (time.Duration, error) {
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			took := time.Since(begun)
			return took, c.Close()
		}
		if time.Since(begun) > limit {
			return 0, fmt.Errorf("no listener on %s after %s: %s", addr, limit, strings.TrimSpace(err.Error()))
		}
		time.Sleep(500 * time.Microsecond)
	}
}
