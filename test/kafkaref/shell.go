package kafkaref

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/test/toolchain"
)

// Shell is a JVM that runs Kafka's tools one after another: a second for the first, some 0.1 s for each after it, where a JVM each would
// take one and a half.
type Shell struct {
	cmd *exec.Cmd

	mu struct {
		sync.Mutex
		in  io.WriteCloser
		out *bufio.Reader
	}
}

// Result is what a tool answered.
type Result struct {
	// Exit is the exit status; -1 when the tool was still running at its time limit, and was ended as by SIGTERM.
	Exit int
	// Out and Err are what it printed.
	Out, Err string
}

// NewShell starts the JVM; it ends with the test.
func NewShell(t testing.TB) *Shell {
	t.Helper()
	s, err := startShell(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

// Fetch brings all that brokers and shells need, once.
func Fetch(ctx context.Context) error {
	_, err := shellClassPath(ctx)
	return err
}

func shellClassPath(ctx context.Context) (string, error) {
	jars, err := Jars(ctx)
	if err != nil {
		return "", err
	}
	classes, err := toolchain.Classes(ctx, "kafka-shell", filepath.Join(sourceDir(), "shell"), ClassPath(jars))
	return toolchain.ClassPath(classes, ClassPath(jars)), err
}

func startShell(ctx context.Context) (*Shell, error) {
	path, err := shellClassPath(ctx)
	if err != nil {
		return nil, err
	}
	s := &Shell{cmd: exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", path, "Shell")}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.mu.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.mu.out = bufio.NewReaderSize(out, 1<<20)
	return s, s.cmd.Start()
}

// Call is one run of a tool.
type Call struct {
	// Tool is its name without "kafka-" and ".sh".
	Tool string
	Args []string
	// Stdin is what the tool reads.
	Stdin string
	// Limit ends a tool that does not end by itself; 0 means 60 s.
	Limit time.Duration
}

// Run runs a tool to its end.
func (s *Shell) Run(t testing.TB, tool string, args ...string) Result {
	t.Helper()
	return s.Do(t, Call{Tool: tool, Args: args})
}

// Do runs a tool with input or a time limit of its own.
func (s *Shell) Do(t testing.TB, c Call) Result {
	t.Helper()
	class, ok := classOf(c.Tool)
	if !ok {
		t.Fatalf("Apache Kafka has no tool kafka-%s", c.Tool)
	}
	if c.Limit == 0 {
		c.Limit = 60 * time.Second
	}
	r, err := s.ask(map[string]any{"class": class, "args": append([]string{}, c.Args...), "stdin": c.Stdin, "timeoutMs": c.Limit.Milliseconds()})
	if err != nil {
		t.Fatalf("kafka-%s: %v", c.Tool, err)
	}
	return r
}

// ask sends one request to the JVM and reads its answer.
func (s *Shell) ask(request map[string]any) (Result, error) {
	line, err := json.Marshal(request)
	if err != nil {
		return Result{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.mu.in.Write(append(line, '\n')); err != nil {
		return Result{}, err
	}
	answer, err := s.mu.out.ReadBytes('\n')
	if err != nil {
		return Result{}, fmt.Errorf("the JVM of the tools is gone: %w", err)
	}
	var r Result
	if err := json.Unmarshal(answer, &r); err != nil {
		return Result{}, fmt.Errorf("answer of the tools' JVM: %w: %s", err, answer)
	}
	return r, nil
}
