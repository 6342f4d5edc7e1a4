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
	"strings"
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
	return TryStartJVM(ctx, dir, []string{"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, properties...)
}

// TryStartJVM is TryStart with the JVM's flags in the caller's hand.
func TryStartJVM(ctx context.Context, dir string, jvm []string, properties ...string) (*Broker, error) {
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]),
		Data: filepath.Join(dir, "data"),
		log:  filepath.Join(dir, "server.log"),
		done: make(chan struct{}),
	}
	config := filepath.Join(dir, "server.properties")
	lines := slices.Concat([]string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", ports[1]),
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", b.Addr, ports[1]),
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + b.Data,
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
	}, properties)
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
	return b, b.launch(ctx, jvm, jars, config)
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
