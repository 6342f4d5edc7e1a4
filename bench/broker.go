package main

import (
	"context"
	"errors"
	"fmt"
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

const (
	brokerCPU = "0"
	loadCPU   = "1"
)

// broker is one running node under test.
type broker struct {
	name  string // klamm or kafka
	addr  string
	pid   int
	dir   string
	ready time.Duration // exec to first accepted connection
	stop  func(kill bool) error
	admin *kadm.Client
	made  map[string]bool
}

// startKlamm runs the built binary, pinned, on a free port and waits for its first accepted connection.
func startKlamm(bin, dir string, extra ...string) (*broker, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	args := append([]string{"-c", brokerCPU, bin, "server", "--data", filepath.Join(dir, "data"), "--listen", addr, "--node-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "-X", "log.retention.check.interval.ms=500", "-X", "max.connections=20000", "-X", "max.connection.creation.rate=100000"}, extra...)
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("taskset", args...)
	cmd.Stdout, cmd.Stderr = log, log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	ready, err := awaitAccept(addr, begun, 30*time.Second)
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("klamm: %w; see %s", err, log.Name())
	}
	b := &broker{name: "klamm", addr: addr, pid: cmd.Process.Pid, dir: dir, ready: ready, made: map[string]bool{}}
	b.stop = func(kill bool) error {
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
	return b, b.connect()
}

func (b *broker) connect() error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		return err
	}
	b.admin = kadm.NewClient(cl)
	b.admin.SetTimeoutMillis(30000)
	return nil
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
	c := map[string]*string{}
	for k, v := range configs {
		c[k] = &v
	}
	if _, err := b.admin.CreateTopic(ctx, int32(partitions), 1, c, name); err != nil {
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
	before, err := cpuSeconds(b.pid)
	if err != nil {
		return loadResult{}, 0, err
	}
	res, err := childLoad(kind, load)
	if err != nil {
		return res, 0, fmt.Errorf("%s: %w", b.name, err)
	}
	after, err := cpuSeconds(b.pid)
	return res, after - before, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
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
