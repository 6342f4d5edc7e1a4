package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
)

// app is one run of the command line.
type app struct {
	env   Env
	flags globals
	in    *bufio.Reader
	out   *bufio.Writer

	running bool // the command itself has begun: what goes wrong now is no wrong usage
}

// globals are the flags every command has.
type globals struct {
	bootstrap string
	profile   string
	set       []string
	output    string
	timeout   time.Duration
}

func (a *app) root() *cobra.Command {
	a.in = bufio.NewReader(a.env.Stdin)
	a.out = bufio.NewWriterSize(a.env.Stdout, 64<<10)
	root := &cobra.Command{
		Use:           "klamm",
		Short:         "Apache Kafka as its users know it, in one small binary",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          helpOrUnknown("command"),
		Version:       a.env.Version,

		SuggestionsMinimumDistance: 2,
	}
	root.SetOut(a.out)
	root.SetErr(a.env.Stderr)
	root.SetIn(a.in)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &fault{why: err, next: c.CommandPath() + " --help", code: ExitUsage}
	})
	root.CompletionOptions.DisableDefaultCmd = true
	p := root.PersistentFlags()
	p.StringVarP(&a.flags.bootstrap, "bootstrap-server", "b", "", "brokers to begin with, host:port,... (KLAMM_BOOTSTRAP_SERVER; default localhost:9092)")
	p.StringVar(&a.flags.profile, "profile", "", "a named set of client settings, see klamm profile (KLAMM_PROFILE)")
	p.StringArrayVarP(&a.flags.set, "set", "X", nil, "key=value: a client property, or of klamm server a broker key; may be repeated")
	p.StringVarP(&a.flags.output, "output", "o", "", "text, wide, json or yaml (KLAMM_OUTPUT)")
	p.DurationVar(&a.flags.timeout, "timeout", connect.DefaultTimeout, "how long a request may take")
	root.AddCommand(a.serverCommand(), a.devCommand(), a.topicCommand(), a.produceCommand(), a.consumeCommand(), a.groupCommand(), a.configCommand(),
		a.clusterCommand(), a.brokerCommand(), a.partitionCommand(), a.benchCommand(), a.storageCommand(), a.profileCommand(), a.completionCommand(), a.versionCommand())
	a.wrapUsage(root)
	return root
}

// wrapUsage makes everything that goes wrong before a command runs (arguments, flags that exclude each other) wrong usage, with the
// line that shows what was expected.
func (a *app) wrapUsage(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			a.running = true
			return run(c, args)
		}
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &fault{why: err, next: c.UseLine(), code: ExitUsage}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		a.wrapUsage(sub)
	}
}

// noun groups verbs.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: helpOrUnknown("verb"), SuggestionsMinimumDistance: 2}
	c.AddCommand(verbs...)
	return c
}

// helpOrUnknown is what a command does that only holds others: show them, or say that there is none of that name.
func helpOrUnknown(kind string) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		f := &fault{what: fmt.Sprintf("%s has no %s %q", c.CommandPath(), kind, args[0]), next: c.CommandPath() + " --help", code: ExitUsage}
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			f.next = c.CommandPath() + " " + near[0]
		}
		return f
	}
}

func (a *app) flush() {
	if a.out != nil {
		// A reader that went away (klamm ... | head) is no error.
		_ = a.out.Flush()
	}
}

// settings come from the profile, the environment and the flags, weakest first.
func (a *app) settings() (connect.Settings, error) {
	s := connect.Settings{ClientID: "klamm", Timeout: a.flags.timeout, Properties: map[string]string{}, Strict: true}
	p, err := a.activeProfile()
	if err != nil {
		return s, err
	}
	for name, value := range p.Properties {
		s.Properties[name] = value
	}
	s.Bootstrap = []string{a.bootstrap()}
	for _, x := range a.flags.set {
		name, value, ok := strings.Cut(x, "=")
		if !ok {
			return s, usage("-X %s: expected key=value", x)
		}
		s.Properties[strings.TrimSpace(name)] = value
	}
	if b := s.Properties["bootstrap.servers"]; b != "" && a.flags.bootstrap == "" {
		s.Bootstrap = []string{b}
	}
	return s, nil
}

// bootstrap is where to begin, for connecting and for messages.
func (a *app) bootstrap() string {
	if a.flags.bootstrap != "" {
		return a.flags.bootstrap
	}
	for _, name := range []string{"KLAMM_BOOTSTRAP_SERVER", "KLAMM_BOOTSTRAP_SERVERS"} {
		if v := a.env.variable(name); v != "" {
			return v
		}
	}
	if p, err := a.activeProfile(); err == nil && p.Bootstrap != "" {
		return p.Bootstrap
	}
	return "localhost:9092"
}

func (a *app) admin() (*connect.Cluster, error) {
	s, err := a.settings()
	if err != nil {
		return nil, err
	}
	return s.Admin()
}

// withAdmin runs f with an admin client and closes it.
func (a *app) withAdmin(f func(*connect.Cluster) error) error {
	adm, err := a.admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	return f(adm)
}

func (a *app) colorErr() bool {
	return a.env.variable("NO_COLOR") == "" && a.env.variable("TERM") != "dumb" && terminal(a.env.Stderr)
}

func (a *app) colorOut() bool {
	return a.env.variable("NO_COLOR") == "" && a.env.variable("TERM") != "dumb" && terminal(a.env.Stdout)
}

// note tells a person what goes on; programs that read stderr are left alone.
func (a *app) note(format string, args ...any) {
	if terminal(a.env.Stderr) {
		fmt.Fprintf(a.env.Stderr, format+"\n", args...)
	}
}

// confirm asks before something is destroyed. Without a terminal there is nobody to ask.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !terminal(a.env.Stdin) {
		return &fault{what: question + " needs --yes when nobody can be asked", next: "add --yes, or look first with --dry-run", code: ExitUsage}
	}
	a.flush()
	fmt.Fprintf(a.env.Stderr, "%s Type yes to go on: ", question)
	answer, err := a.in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return &fault{what: "nothing was changed", code: ExitError}
	}
	return nil
}
