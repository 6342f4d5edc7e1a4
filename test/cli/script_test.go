package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/process"
)

var update = flag.Bool("update", false, "rewrite the golden scripts")

// shell runs commands against one node.
type shell struct {
	bin, dir, broker, http string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	n := process.Start(t, t.TempDir(), "", "-X", "group.initial.rebalance.delay.ms=0")
	return &shell{bin: process.Binary(t), dir: t.TempDir(), broker: n.Kafka, http: n.HTTP}
}

// result is what a command said.
type result struct {
	stdout, stderr string
	code           int
}

// command prepares a run of the binary under the name args[0].
func (s *shell) command(ctx context.Context, stdin string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bin)
	cmd.Args = args
	cmd.Dir = s.dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "KLAMM_BOOTSTRAP_SERVER="+s.broker, "KLAMM_HTTP="+s.http, "KLAMM_PROFILES="+filepath.Join(s.dir, "profiles.yaml"))
	return cmd
}

func (s *shell) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := s.command(ctx, stdin, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", args, err)
	}
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// transcript is how a golden script shows a result: standard output, the first two lines of standard error behind "! ", and the exit code
// where it is not 0.
func (r result) transcript(s *shell) string {
	var b strings.Builder
	b.WriteString(r.stdout)
	if r.stdout != "" && !strings.HasSuffix(r.stdout, "\n") {
		b.WriteString("\\\n")
	}
	shown := 0
	for line := range strings.Lines(r.stderr) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		if shown == 2 || strings.HasPrefix(line, "Option  ") {
			break
		}
		b.WriteString("! " + line + "\n")
		shown++
	}
	if r.code != 0 {
		fmt.Fprintf(&b, "[exit code %d]\n", r.code)
	}
	return s.normal(b.String())
}

// normal replaces what differs from run to run.
func (s *shell) normal(text string) string {
	host, port, _ := strings.Cut(s.broker, ":")
	text = strings.ReplaceAll(text, s.broker, "BROKER")
	text = strings.ReplaceAll(text, host+" "+port, "BROKER")
	for _, r := range []struct{ pattern, with string }{
		{`TopicId: [A-Za-z0-9_-]{22}`, "TopicId: ID"},
		{`id [A-Za-z0-9_-]{22}`, "id ID"},
		{`[a-z-]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "MEMBER"},
		{`CreateTime:[0-9]+`, "CreateTime:MS"},
		{`\[[0-9-]+ [0-9:,]+\] ERROR`, "[TIME] ERROR"},
		{`[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]+`, "TIME"},
		{`[0-9]+ ms 50th.*`, "QUANTILES"},
		{`[0-9.]+ records/sec \([0-9.]+ MB/sec\), [0-9.]+ ms avg latency, [0-9.]+ ms max latency`, "SPEED"},
		{`(TIME, TIME, [0-9.]+), [0-9.]+, ([0-9]+), .*`, "$1, $2, SPEED"},
		{`"(timestamp|commitTimestamp)":[0-9]+`, `"$1":MS`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// TestScripts runs testdata/*.txt. A line "$ name args" is a command, "< text" lines behind it its input, what follows its transcript.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, newShell(t), string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, file, string(text), got)
		})
	}
}

func compare(t *testing.T, name, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	last := ""
	for i := range min(len(w), len(g)) {
		if strings.HasPrefix(w[i], "$ ") {
			last = w[i]
		}
		if w[i] != g[i] {
			t.Errorf("%s:%d, behind %s\nwant %s\ngot  %s", name, i+1, last, w[i], g[i])
			return
		}
	}
	t.Errorf("%s: %d lines, want %d", name, len(g), len(w))
}

// replay runs a script's commands and returns the script with what they say now.
func replay(t *testing.T, s *shell, script string) string {
	t.Helper()
	var out strings.Builder
	lines := strings.Split(script, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		args, isCommand := strings.CutPrefix(line, "$ ")
		if !isCommand {
			if strings.HasPrefix(line, "#") || line == "" && (i+1 == len(lines) || strings.HasPrefix(lines[i+1], "#")) {
				out.WriteString(line + "\n")
			}
			continue
		}
		out.WriteString(line + "\n")
		var stdin strings.Builder
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "< ") {
			i++
			out.WriteString(lines[i] + "\n")
			stdin.WriteString(strings.NewReplacer(`\t`, "\t").Replace(lines[i][2:]) + "\n")
		}
		out.WriteString(s.run(t, stdin.String(), words(strings.ReplaceAll(args, "BROKER", s.broker))...).transcript(s))
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// words splits like a shell does, single quotes included.
func words(line string) []string {
	var out []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if any {
				out = append(out, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if any {
		out = append(out, word.String())
	}
	return out
}
