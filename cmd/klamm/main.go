// Command klamm is Kafka as its users know it, in one binary: the broker, its command line, and Kafka's tools by their names.
package main

import (
	"context"
	"os"

	"github.com/klamm/klamm/internal/cli"
	"github.com/klamm/klamm/internal/node"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(cli.Main(os.Args, cli.Env{
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Environ: os.Environ(),
		Version: version,
		Server: func(ctx context.Context, o cli.ServerOptions) error {
			return node.Run(ctx, node.Flags{
				Config: o.Config, Data: o.Data, Listen: o.Listen, NodeListen: o.NodeListen, HTTPListen: o.HTTPListen, Join: o.Join, Set: o.Set,
				Environ: os.Environ(), Version: version, Stdout: os.Stdout, Stderr: os.Stderr,
			})
		},
	}))
}
