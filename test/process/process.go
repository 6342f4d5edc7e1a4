// Package process runs the built klamm binary as a real process for tests: on free ports, with its log kept for the failure message.
package process

import (
	"bufio"
	"encoding/json"
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
	// Kafka and HTTP are the addresses it listens on, once it is ready.
	Kafka, HTTP string
	// Ready is the time from exec to the log line that says so.
	Ready time.Duration

	cmd         *exec.Cmd
	begun       time.Time
	ready, done chan struct{}
	log         *lineLog
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
	n, err := Launch(nil, append([]string{binary}, all...)...)
	if err != nil {
		return nil, err
	}
	if err := n.AwaitReady(60 * time.Second); err != nil {
		return nil, err
	}
	return n, nil
}

// Launch runs a command line that ends in `klamm server ...` and does not wait. What the process prints goes to out as well, line by line,
// where out is not nil. It dies with the process that launched it.
func Launch(out io.Writer, command ...string) (*Node, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	n := &Node{cmd: cmd, begun: time.Now(), ready: make(chan struct{}), done: make(chan struct{}), log: &lineLog{out: out}}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		n.read(pipe)
		_ = cmd.Wait()
		close(n.done)
	}()
	return n, nil
}

// AwaitReady returns when the process says that it is ready. If it ends instead, or takes longer than limit and is killed, the error holds
// its last lines.
func (n *Node) AwaitReady(limit time.Duration) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-n.ready:
		return nil
	case <-n.done:
		return fmt.Errorf("klamm ended before it was ready: %s\n%s", n.cmd.ProcessState, n.log.tail())
	case <-late.C:
		n.Kill()
		return fmt.Errorf("klamm was not ready within %s:\n%s", limit, n.log.tail())
	}
}

// read follows the log and takes the addresses from the line that announces readiness.
func (n *Node) read(r io.Reader) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), 1<<20)
	open := true
	for in.Scan() {
		n.log.add(in.Text())
		var line struct{ Msg, Kafka, HTTP string }
		if open && json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "ready" {
			n.Kafka, n.HTTP, n.Ready = line.Kafka, line.HTTP, time.Since(n.begun)
			open = false
			close(n.ready)
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
	out   io.Writer // or nil
}

func (l *lineLog) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out != nil {
		_, _ = io.WriteString(l.out, s+"\n")
	}
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
