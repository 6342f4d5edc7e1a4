package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/test/process"
)

// dev is a running `klamm dev`.
type dev struct {
	cmd    *exec.Cmd
	port   int
	tmp    string
	stderr bytes.Buffer
	ended  chan error
}

// startDev runs it and waits for the line that says that the cluster is ready.
func startDev(t *testing.T, args ...string) *dev {
	t.Helper()
	d := &dev{port: devPort(t), tmp: t.TempDir(), ended: make(chan error, 1)}
	d.cmd = exec.Command(process.Binary(t), append([]string{"dev", "--port", fmt.Sprint(d.port)}, args...)...)
	d.cmd.Env, d.cmd.Stderr = append(os.Environ(), "TMPDIR="+d.tmp), &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	ready := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "is ready") {
				once.Do(func() { close(ready) })
			}
		}
		d.ended <- d.cmd.Wait()
	}()
	t.Cleanup(func() { _ = d.cmd.Process.Signal(syscall.SIGTERM) }) // its children end with it, as they would not by SIGKILL
	select {
	case <-ready:
	case err := <-d.ended:
		t.Fatalf("klamm dev ended: %v\n%s", err, d.stderr.String())
	case <-time.After(60 * time.Second):
		t.Fatal("klamm dev is not ready after 60 s")
	}
	return d
}

// devPort is the first of three blocks of ports that nobody uses.
func devPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port, free := 12_000+rand.IntN(19_000), true
		for i := range 9 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i/3*100+i%3))
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// gone checks that nothing is left: no data, and nobody on the ports.
func (d *dev) gone(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(d.tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for i := range 9 {
		addr := fmt.Sprintf("127.0.0.1:%d", d.port+i/3*100+i%3)
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			t.Errorf("somebody still listens on %s", addr)
		}
	}
}

// TestDev is a cluster of processes that serves, and of which nothing is left when it was told to end.
func TestDev(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		nodes  int
	}{{syscall.SIGINT, 3}, {syscall.SIGTERM, 1}} {
		d := startDev(t, "-n", fmt.Sprint(c.nodes))
		s := &shell{bin: process.Binary(t), dir: t.TempDir(), broker: fmt.Sprintf("127.0.0.1:%d", d.port)}
		for _, step := range []struct{ stdin, args, want string }{
			{"", fmt.Sprintf("topic create t --replication-factor %d", c.nodes), "created topic t"},
			{"hello\n", "produce t", ""},
			{"", "consume t --from-beginning --exit", "hello"},
			{"", "cluster status", fmt.Sprintf("%d broker", c.nodes)},
			{"", "cluster health", "healthy"},
		} {
			if r := s.run(t, step.stdin, append([]string{"klamm"}, strings.Fields(step.args)...)...); r.code != 0 || !strings.Contains(r.stdout, step.want) {
				t.Errorf("%s: exit code %d\n%s%s", step.args, r.code, r.stdout, r.stderr)
			}
		}
		if c.nodes > 1 {
			d.outlivesOne(t, s)
		}
		if err := d.cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-d.ended:
			if err != nil {
				t.Errorf("%v: %v\n%s", c.signal, err, d.stderr.String())
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("still running 30 s after %v", c.signal)
		}
		d.gone(t)
	}
}

// outlivesOne kills a broker: the others go on.
func (d *dev) outlivesOne(t *testing.T, s *shell) {
	t.Helper()
	r := s.run(t, "", "klamm", "topic", "describe", "t", "-o", "json")
	var topics []struct {
		List []struct{ Leader int } `json:"partition_list"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &topics); err != nil || len(topics) != 1 || len(topics[0].List) == 0 {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	victim := topics[0].List[0].Leader
	pid, err := exec.Command("sh", "-c", fmt.Sprintf("ps -eo pid,ppid,args | awk '$2 == %d && /--listen 127.0.0.1:%d /{print $1}'", d.cmd.Process.Pid, d.port+100*(victim-1))).Output()
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatalf("broker %d is not there: %q", victim, pid)
	}
	if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.broker = fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d", d.port, d.port+100, d.port+200)
	for begin := time.Now(); ; { // the command line gives up at once when it meets the dead leader before the others know
		r := s.run(t, "", "klamm", "consume", "t", "--from-beginning", "--exit")
		if r.code == 0 && strings.Contains(r.stdout, "hello") {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("without broker %d: exit code %d\n%s%s", victim, r.code, r.stdout, r.stderr)
		}
	}
}

// TestDevSaysWhenAPortIsTaken, ends, and cleans up.
func TestDevSaysWhenAPortIsTaken(t *testing.T) {
	port := devPort(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+100))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	tmp := t.TempDir()
	cmd := exec.Command(process.Binary(t), "dev", "--port", fmt.Sprint(port))
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "address already in use") || !strings.Contains(string(out), "klamm dev --port PORT") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
