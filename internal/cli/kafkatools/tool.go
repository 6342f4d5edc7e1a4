package kafkatools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/config"
)

// Env is the process around a tool.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Version        string
}

// tool is one run.
type tool struct {
	env Env
	out *bufio.Writer
	opt *options
}

// command is a tool as data.
type command struct {
	about   string
	options []option
	run     func(context.Context, *tool) error
}

func commands() map[string]func() command {
	return map[string]func() command{
		"kafka-topics":             topicsCommand,
		"kafka-console-producer":   consoleProducerCommand,
		"kafka-console-consumer":   consoleConsumerCommand,
		"kafka-consumer-groups":    groupsCommand,
		"kafka-configs":            configsCommand,
		"kafka-get-offsets":        getOffsetsCommand,
		"kafka-producer-perf-test": producerPerfCommand,
		"kafka-consumer-perf-test": consumerPerfCommand,
	}
}

// Name says which tool a binary called base is.
func Name(base string) (string, bool) {
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".exe"), ".sh")
	_, ok := commands()[base]
	return base, ok
}

// usageError ends a tool that was called wrongly: the message, and unless bare the options, on standard error.
type usageError struct {
	message string
	bare    bool
}

// Error is the message alone.
func (e *usageError) Error() string { return e.message }

func wrong(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// bare ends a tool with a message and nothing else.
func bare(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), bare: true}
}

// errSaid ends a tool that has said everything itself with exit code 1.
var errSaid = errors.New("said")

// Run runs a tool and returns its exit code.
func Run(ctx context.Context, name string, args []string, env Env) int {
	c := commands()[name]()
	t := &tool{env: env, out: bufio.NewWriterSize(env.Stdout, 64<<10)}
	code := t.main(ctx, name, c, args)
	if err := t.out.Flush(); err != nil && code == 0 {
		code = 1 // nobody reads any more
	}
	return code
}

func (t *tool) main(ctx context.Context, name string, c command, args []string) int {
	var err error
	t.opt, err = parseOptions(c.options, args)
	switch {
	case err != nil && strings.HasSuffix(name, "producer-perf-test"):
		t.errorf("%s\n%s: error: %s\n", strings.TrimRight(usageLine(name, c.options), "\n"), name, err)
		return 1
	case err != nil:
		t.errorf("%s\n", err)
		return 1
	case t.opt.has("version"):
		t.printf("%s\n", t.env.Version)
		return 0
	case t.opt.has("help") || len(args) == 0:
		t.errorf("%s\n%s", c.about, help(c.options))
		return 1
	}
	return t.finish(c, c.run(ctx, t))
}

func (t *tool) finish(c command, err error) int {
	var u *usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSaid):
	case errors.As(err, &u) && u.bare:
		t.errorf("%s\n", u.message)
	case errors.As(err, &u):
		t.errorf("%s\n%s", u.message, help(c.options))
	default:
		t.errorf("%s\n", javaText(err))
	}
	return 1
}

func (t *tool) printf(format string, args ...any) {
	// Errors of the buffered writer come back from Flush.
	fmt.Fprintf(t.out, format, args...)
}

// errorf writes to standard error, behind what standard output has got so far.
func (t *tool) errorf(format string, args ...any) {
	_ = t.out.Flush()
	fmt.Fprintf(t.env.Stderr, format, args...)
}

// logError is a line of Kafka's log on standard error.
func (t *tool) logError(class, format string, args ...any) {
	t.errorf("[%s] ERROR %s (%s)\n", time.Now().Format("2006-01-02 15:04:05,000"), fmt.Sprintf(format, args...), class)
}

// settings are the client's: a property file first, then properties of flags, then the flags themselves.
func (t *tool) settings(files []string, properties []string, clientID string) (connect.Settings, error) {
	s := connect.Settings{ClientID: clientID, Properties: map[string]string{}, Timeout: 60 * time.Second}
	for _, option := range files {
		if !t.opt.has(option) {
			continue
		}
		text, err := os.ReadFile(t.opt.value(option))
		if err != nil {
			return s, err
		}
		props, err := config.ReadProperties(string(text))
		if err != nil {
			return s, fmt.Errorf("%s: %w", t.opt.value(option), err)
		}
		for k, v := range props {
			s.Properties[k] = v
		}
	}
	for _, option := range properties {
		for _, p := range t.opt.values(option) {
			k, v, ok := strings.Cut(p, "=")
			if !ok {
				return s, bare("Invalid property %q: expected key=value", p)
			}
			s.Properties[k] = v
		}
	}
	if t.opt.has("bootstrap-server") {
		s.Bootstrap = []string{t.opt.value("bootstrap-server")}
	}
	return s, nil
}

// cluster connects as Kafka's tools do for their admin requests.
func (t *tool) cluster() (*connect.Cluster, error) {
	s, err := t.settings([]string{"command-config"}, nil, "")
	if err != nil {
		return nil, err
	}
	if s.ClientID == "" {
		s.ClientID = "adminclient-1"
	}
	return s.Admin()
}
