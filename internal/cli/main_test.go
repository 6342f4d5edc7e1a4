package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// run calls the command line without a terminal and without a broker.
func run(t *testing.T, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = Main(append([]string{"klamm"}, args...), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Version: "1.2.3",
		Environ: append(environ, "KLAMM_PROFILES="+filepath.Join(t.TempDir(), "profiles.yaml"))})
	return out.String(), errOut.String(), code
}

func TestWrongUsageExitsWithTwoAndSaysWhatNext(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
	}{
		{"topik", []string{`no command "topik"`, "next: klamm topic"}},
		{"topic lst", []string{`no verb "lst"`, "next: klamm topic list"}},
		{"topic list --nosuch", []string{"unknown flag: --nosuch", "next: klamm topic list --help"}},
		{"topic describe", []string{"requires at least 1 arg", "next: klamm topic describe NAME..."}},
		{"version -o xml", []string{"expected text, wide, json or yaml"}},
		{"topic list -X nosuch=1", []string{"no client property is called nosuch"}},
		{"topic list -X num.partitions=1", []string{"klamm config set broker/ID num.partitions="}},
		{"topic list -b host:notaport", []string{"the port is not a number"}},
		{"topic list --profile away", []string{`no profile "away"`, "klamm profile add away"}},
		{"config set node/1 a=b", []string{"expected topic/NAME, broker/ID, broker or group/NAME"}},
		{"group reset g --to-earliest", []string{"--topic NAME or --all-topics"}},
		{"group reset g --topic t", []string{"say where to"}},
		{"group reset g --topic t --to-earliest --to-latest", []string{"none of the others can be"}},
		{"consume t -f %q", []string{"%q means nothing"}},
		{"produce t --input xml", []string{"expected lines or json"}},
		{"broker describe one", []string{"is not a broker id", "klamm broker list"}},
	} {
		_, stderr, code := run(t, nil, strings.Fields(c.args)...)
		if code != ExitUsage {
			t.Errorf("%s: exit code %d, want 2; %s", c.args, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %q lacks %q", c.args, stderr, want)
			}
		}
	}
}

func TestNobodyThere(t *testing.T) {
	_, stderr, code := run(t, nil, "topic", "list", "-b", "127.0.0.1:1", "--timeout", "500ms")
	if code != ExitError && code != ExitTimeout || !strings.Contains(stderr, "cannot reach 127.0.0.1:1") || !strings.Contains(stderr, "klamm server") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if out, _, code := run(t, nil, args...); out != "klamm 1.2.3\n" || code != 0 {
			t.Errorf("%v: %q %d", args, out, code)
		}
	}
	out, _, _ := run(t, []string{"KLAMM_OUTPUT=json"}, "version", "--timeout", "1s")
	var v struct{ Version string }
	if json.Unmarshal([]byte(out), &v) != nil || v.Version != "1.2.3" {
		t.Errorf("%q", out)
	}
}

func TestServerGetsItsFlags(t *testing.T) {
	var got ServerOptions
	code := Main(strings.Fields("klamm server --data /d --listen :1 --http-listen :2 -X a=b -X c=d"), Env{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Environ: []string{"KLAMM_CONFIG=/c", "KLAMM_DATA=/other"}, Server: func(_ context.Context, o ServerOptions) error {
			got = o
			return nil
		}})
	want := ServerOptions{Config: "/c", Data: "/d", Listen: ":1", HTTPListen: ":2", Set: []string{"a=b", "c=d"}}
	if code != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d %+v, want %+v", code, got, want)
	}
	code = Main([]string{"klamm", "server"}, Env{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Server: func(context.Context, ServerOptions) error { return errors.New("port taken") }})
	if code != ExitError {
		t.Errorf("a failed server exits with %d", code)
	}
}

func TestProfiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "profiles.yaml")
	call := func(args ...string) string {
		var out, errOut bytes.Buffer
		Main(append([]string{"klamm"}, args...), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Environ: []string{"KLAMM_PROFILES=" + file}})
		return out.String() + errOut.String()
	}
	call("profile", "add", "prod", "-b", "prod:9092", "-X", "client.id=me")
	call("profile", "use", "prod")
	if got := call("profile", "list", "-o", "wide"); !strings.Contains(got, "prod") || !strings.Contains(got, "yes") || !strings.Contains(got, "client.id=me") {
		t.Error(got)
	}
	a := &app{env: Env{Environ: []string{"KLAMM_PROFILES=" + file}}}
	s, err := a.settings()
	if err != nil || s.Bootstrap[0] != "prod:9092" || s.Properties["client.id"] != "me" {
		t.Errorf("%+v %v", s, err)
	}
	a.flags.bootstrap = "here:1"
	if s, _ := a.settings(); s.Bootstrap[0] != "here:1" {
		t.Errorf("-b does not win over the profile: %v", s.Bootstrap)
	}
}

func TestLint(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good.properties", "num.partitions=3\nnum.io.threads=8\n")
	bad := write("bad.yaml", "num.partitons: 3\nlisteners: SASL_SSL://:9092\n")
	out, _, code := run(t, nil, "config", "lint", good)
	if code != 0 || !strings.Contains(out, "ok") || !strings.Contains(out, "num.io.threads has no effect") {
		t.Errorf("%d %s", code, out)
	}
	if out, _, code = run(t, nil, "config", "lint", bad); code != ExitError || !strings.Contains(out, "bad.yaml:1") || !strings.Contains(out, "did you mean num.partitions?") {
		t.Errorf("%d %s", code, out)
	}
	if _, _, code = run(t, nil, "config", "lint", good, bad); code != ExitPartial {
		t.Errorf("one of two bad files exits with %d", code)
	}
}

// Every command must have a line of its own in the help, and help must not need a broker.
func TestHelp(t *testing.T) {
	out, _, code := run(t, nil)
	for _, want := range []string{"server", "topic", "produce", "consume", "group", "config", "cluster", "broker", "bench", "storage", "profile", "completion", "version"} {
		if !strings.Contains(out, "\n  "+want+" ") {
			t.Errorf("help lacks %s", want)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, _, code := run(t, nil, "completion", shell); code != 0 || len(out) < 1000 {
			t.Errorf("completion %s: %d, %d bytes", shell, code, len(out))
		}
	}
}

func TestToolsAreFoundByName(t *testing.T) {
	for _, name := range []string{"kafka-topics", "/usr/bin/kafka-topics.sh", "kafka-consumer-perf-test.exe"} {
		var out, errOut bytes.Buffer
		code := Main([]string{name, "--version"}, Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut, Version: "1.2.3"})
		if code != 0 || out.String() != "1.2.3\n" {
			t.Errorf("%s: %d %q %q", name, code, out.String(), errOut.String())
		}
	}
}

// Clients of the library would try for ever; a command says at once that nobody is there.
func TestReadingAndWritingFindNobody(t *testing.T) {
	for _, args := range []string{"produce t -m x", "consume t --group g", "consume t", "bench consume -n 1 --idle 1s", "cluster status"} {
		_, stderr, code := run(t, nil, append(strings.Fields(args), "-b", "127.0.0.1:1", "--timeout", "500ms")...)
		if code != ExitError && code != ExitTimeout && code != ExitPartial {
			t.Errorf("%s: exit code %d: %s", args, code, stderr)
		}
		if !strings.HasPrefix(args, "bench") && !strings.Contains(stderr, "cannot reach 127.0.0.1:1") {
			t.Errorf("%s: %s", args, stderr)
		}
	}
}
