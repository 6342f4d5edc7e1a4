// Package process runs the built klamm binary as a real process for tests: on free ports, with its log kept for the failure message.
package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Node is one running klamm process.
type Node struct {
	// Kafka and HTTP are the addresses it listens on.
	Kafka, HTTP string
	// Ready is the time from exec to the log line that says so.
	Ready time.Duration

	cmd  *exec.Cmd
	done chan struct{}
	log  *lineLog
}

// Binary finds bin/klamm from any package of the repository; KLAMM_TEST_BIN names another.
func Binary(t testing.TB) string {
	t.Helper()
	if b := os.Getenv("KLAMM_TEST_BIN"); b != "" {
		return b
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			if _, err := os.Stat(filepath.Join(dir, "bin", "klamm")); err == nil {
				return filepath.Join(dir, "bin", "klamm")
			}
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("bin/klamm is missing: run make build")
		}
		dir = up
	}
}

// Start runs `klamm server` on dir. addr "" picks a free port. The process is killed when the test ends.
func Start(t testing.TB, dir, addr string, args ...string) *Node {
	t.Helper()
	n, err := TryStart(Binary(t), dir, addr, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Kill()
		if t.Failed() {
			t.Logf("last lines of the broker:\n%s", n.log.tail())
		}
	})
	return n
}

// TryStart is Start for callers that expect a refusal; the error then holds the process's last lines.
func TryStart(binary, dir, addr string, args ...string) (*Node, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	all := append([]string{"server", "--data", dir, "--listen", addr, "--node-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"}, args...)
	cmd := exec.Command(binary, all...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &Node{cmd: cmd, done: make(chan struct{}), log: &lineLog{}}
	ready := make(chan struct{})
	go func() {
		n.read(pipe, ready)
		_ = cmd.Wait()
		close(n.done)
	}()
	select {
	case <-ready:
		n.Ready = time.Since(begun)
		return n, nil
	case <-n.done:
		return nil, fmt.Errorf("klamm ended before it was ready: %s\n%s", cmd.ProcessState, n.log.tail())
	case <-time.After(60 * time.Second):
		n.Kill()
		return nil, errors.New("klamm was not ready within 60 s:\n" + n.log.tail())
	}
}

// read follows the log and takes the addresses from the line that announces readiness.
func (n *Node) read(r io.Reader, ready chan struct{}) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), 1<<20)
	open := true
	for in.Scan() {
		n.log.add(in.Text())
		var line struct{ Msg, Kafka, HTTP string }
		if open && json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "ready" {
			n.Kafka, n.HTTP = line.Kafka, line.HTTP
			open = false
			close(ready)
		}
	}
}

// PID is the process id.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Kill ends the process as a crash does and waits until it is gone.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// Terminate sends SIGTERM and waits for a clean end.
func (n *Node) Terminate(limit time.Duration) error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.done:
		if code := n.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("exit code %d:\n%s", code, n.log.tail())
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("still running %s after SIGTERM:\n%s", limit, n.log.tail())
	}
}

// Done is closed when the process has ended.
func (n *Node) Done() <-chan struct{} { return n.done }

// Log is what the process has printed last.
func (n *Node) Log() string { return n.log.tail() }

// lineLog keeps the last lines a process printed.
type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines = append(l.lines, s); len(l.lines) > 200 {
		l.lines = l.lines[100:]
	}
}

func (l *lineLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := ""
	for _, s := range l.lines[max(0, len(l.lines)-40):] {
		out += s + "\n"
	}
	return out
}
