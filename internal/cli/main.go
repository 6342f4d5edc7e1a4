package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klamm/klamm/internal/cli/kafkatools"
)

// Env is the process around a command.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // "NAME=value"
	Version        string
	// Server runs a node until ctx ends. It is handed in because this room knows no node.
	Server func(ctx context.Context, o ServerOptions) error
}

// ServerOptions are what `klamm server` was told. Empty fields leave it to the configuration.
type ServerOptions struct {
	Config, Data, Listen, NodeListen, HTTPListen string
	Join                                         string   // addresses of nodes, comma-separated
	Set                                          []string // -X key=value
}

// Exit codes, the same for every command.
const (
	ExitOK      = 0
	ExitError   = 1
	ExitUsage   = 2
	ExitPartial = 3 // some of what was asked for was done
	ExitTimeout = 4
)

// Main runs the command in args (args[0] is the name the binary was called by) and returns the exit code.
func Main(args []string, env Env) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) == 0 {
		args = []string{"klamm"}
	}
	if tool, ok := kafkatools.Name(filepath.Base(args[0])); ok {
		return kafkatools.Run(ctx, tool, args[1:], kafkatools.Env{
			Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Version: env.Version,
		})
	}
	// The version is asked for by scripts and completions: it must not pay for the commands.
	if len(args) == 2 && (args[1] == "version" || args[1] == "--version") {
		fmt.Fprintln(env.Stdout, "klamm "+env.Version)
		return ExitOK
	}
	a := &app{env: env}
	root := a.root()
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	a.flush()
	if err == nil {
		return ExitOK
	}
	f := explain(err, a.bootstrap())
	if !a.running {
		f.code = ExitUsage
	}
	if f.Error() != "" {
		fmt.Fprint(env.Stderr, f.text(a.colorErr()))
	}
	return f.code
}

// variable reads the environment.
func (e Env) variable(name string) string {
	value := ""
	for _, v := range e.Environ {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value = rest
		}
	}
	return value
}

// terminal reports whether a person sits at the other end of f.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // also a character device, and nobody sits there
	return err != nil || !os.SameFile(info, null)
}
