package interop

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// program is a program of clients that answers each line of its standard input by one of its standard output.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	errs  strings.Builder // not to be read before the end
}

// startProgram runs the program; it is killed when the test ends, and what it said on its standard error shown if the test failed.
func startProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, lines: make(chan string, 1)}
	p.cmd = exec.CommandContext(t.Context(), name, args...)
	p.cmd.Stderr = &p.errs
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(p.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		for range p.lines {
			continue // so that nobody waits to say something
		}
		<-ended
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("standard error of %s:\n%s", name, lastBytes(p.errs.String(), 4000))
		}
	})
	return p
}

// ask sends a command and waits for the answer.
func (p *program) ask(command string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		p.t.Fatal(err)
	}
	return p.line()
}

// line is the next that the program says.
func (p *program) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the program has ended")
		}
		return line
	case <-time.After(2 * time.Minute):
		p.t.Fatal("the program does not answer")
	}
	return ""
}
