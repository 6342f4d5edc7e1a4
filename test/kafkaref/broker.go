package kafkaref

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Broker is one Apache Kafka node, broker and controller in one process.
type Broker struct {
	// Addr is where clients connect.
	Addr string
	// Data is its log directory.
	Data string
	// Ready is the time from exec until the broker said that it serves.
	Ready time.Duration

	cmd  *exec.Cmd
	done chan struct{}
	log  string
	// again runs it once more, on what it has on disk.
	again func(context.Context) error
}

// Start runs a node on dir with free ports; properties ("key=value") come after the ones it needs, so they win. It is killed when the test
// ends.
func Start(t testing.TB, dir string, properties ...string) *Broker {
	t.Helper()
	b, err := TryStart(t.Context(), dir, properties...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b
}

// TryStart is Start without a test around it; ctx bounds the start, not the broker's life. The JVM is set up to start fast.
func TryStart(ctx context.Context, dir string, properties ...string) (*Broker, error) {
	return TryStartJVM(ctx, dir, fastStart(), properties...)
}

// fastStart are the flags of a JVM that shall start fast.
func fastStart() []string {
	return []string{"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
}

// TryStartJVM is TryStart with the JVM's flags in the caller's hand.
func TryStartJVM(ctx context.Context, dir string, jvm []string, properties ...string) (*Broker, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	return startOne(ctx, dir, jvm, seat{node: 1, ports: ports[:1], voters: ports[1:]}, properties)
}

// seat is a node's place among those that form a cluster: all of their ports, for clients and between controllers.
type seat struct {
	node          int // from 1
	ports, voters []int
}

func (s *seat) properties(data string) []string {
	var voters []string
	for i, p := range s.voters {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, p))
	}
	n := len(s.voters)
	return []string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", s.node),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", s.ports[s.node-1], s.voters[s.node-1]),
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + data,
		fmt.Sprintf("offsets.topic.replication.factor=%d", min(n, 3)),
		fmt.Sprintf("transaction.state.log.replication.factor=%d", min(n, 3)),
		fmt.Sprintf("transaction.state.log.min.isr=%d", min(n, 2)),
		fmt.Sprintf("share.coordinator.state.topic.replication.factor=%d", min(n, 3)),
		fmt.Sprintf("share.coordinator.state.topic.min.isr=%d", min(n, 2)),
	}
}

// startOne prepares dir and runs a node on it. A node of several serves only once enough others run.
func startOne(ctx context.Context, dir string, jvm []string, s seat, properties []string) (*Broker, error) {
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		Addr: fmt.Sprintf("127.0.0.1:%d", s.ports[s.node-1]),
		Data: filepath.Join(dir, "data"),
		log:  filepath.Join(dir, "server.log"),
		done: make(chan struct{}),
	}
	config := filepath.Join(dir, "server.properties")
	lines := slices.Concat(s.properties(b.Data), properties)
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	format, err := Command(ctx, "storage", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "--ignore-formatted", "-c", config)
	if err != nil {
		return nil, err
	}
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kafkaref: format the storage: %w\n%s", err, out)
	}
	b.again = func(ctx context.Context) error { return b.launch(ctx, jvm, jars, config) }
	return b, b.again(ctx)
}

// Restart starts a broker that has been killed or terminated, where it was, and waits until it serves.
func (b *Broker) Restart(ctx context.Context) error {
	b.done = make(chan struct{})
	return b.again(ctx)
}

// Terminate ends the process as SIGTERM does and waits until it is gone.
func (b *Broker) Terminate(limit time.Duration) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-b.done:
		return nil
	case <-late.C:
		return fmt.Errorf("kafkaref: still running %s after SIGTERM", limit)
	}
}

// ClusterOptions is how the nodes of a cluster are run.
type ClusterOptions struct {
	JVM []string
	// Around runs each start; the process inherits what its goroutine's thread is bound to.
	Around func(start func() error) error
}

// TryStart starts nodes 1 to n at once, node i on dir/i, and returns when all of them serve.
func (o ClusterOptions) TryStart(ctx context.Context, dir string, n int, properties ...string) ([]*Broker, error) {
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	nodes, errs := make([]*Broker, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		own := filepath.Join(dir, strconv.Itoa(i+1))
		if err := os.MkdirAll(own, 0o755); err != nil {
			return nil, err
		}
		wg.Go(func() {
			errs[i] = o.Around(func() (err error) {
				nodes[i], err = startOne(ctx, own, o.JVM, seat{node: i + 1, ports: ports[:n], voters: ports[n:]}, properties)
				return err
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, b := range nodes {
			if b != nil && b.cmd != nil {
				b.Kill()
			}
		}
		return nil, err
	}
	return nodes, nil
}

// launch starts the JVM and waits until the broker says that it serves.
func (b *Broker) launch(ctx context.Context, jvm []string, jars, config string) error {
	out, err := os.Create(b.log)
	if err != nil {
		return err
	}
	defer out.Close()
	b.cmd = exec.Command("java", append(slices.Clone(jvm), "-Djava.awt.headless=true",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-cp", ClassPath(jars), "kafka.Kafka", config)...)
	b.cmd.Stdout, b.cmd.Stderr = out, out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	if err := b.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = b.cmd.Wait()
		close(b.done)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.done:
			return fmt.Errorf("kafkaref: the broker ended: %s\n%s", b.cmd.ProcessState, b.Log())
		case <-ctx.Done():
			b.Kill()
			return errors.Join(ctx.Err(), errors.New("kafkaref: the broker did not start:\n"+b.Log()))
		case <-tick.C:
			if text, err := os.ReadFile(b.log); err == nil && bytes.Contains(text, []byte("Kafka Server started")) {
				b.Ready = time.Since(begun)
				return nil
			}
		}
	}
}

// PID is the process id.
func (b *Broker) PID() int { return b.cmd.Process.Pid }

// Kill ends the process as a crash does and waits until it is gone.
func (b *Broker) Kill() {
	_ = b.cmd.Process.Kill()
	<-b.done
}

// Log is the end of what the broker has printed.
func (b *Broker) Log() string {
	text, err := os.ReadFile(b.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-8000):])
}

// freePorts finds n ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only at the end, so that no port comes twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
