package cli

import (
	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/dev"
)

func (a *app) devCommand() *cobra.Command {
	var count, port int
	c := &cobra.Command{
		Use:   "dev",
		Short: "run a throwaway cluster of real brokers; Ctrl-C ends it and deletes its data",
		Long: "Run a cluster of broker processes on this machine until Ctrl-C, and delete their data then. The first takes clients on --port, other nodes on the\n" +
			"port behind it and HTTP on the one behind that; each further broker has ports that are 100 higher.",
		Example: "  klamm dev\n  klamm dev -n 5 --port 19092\n  klamm dev -n 1 -X num.partitions=3",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if count < 1 || port < 1 || port+dev.Ports*(count-1)+2 > 65535 {
				return usage("%d brokers from port %d on: there are no such ports", count, port)
			}
			d := dev.Cluster{Set: a.flags.set, Out: func(format string, args ...any) error {
				a.printf(format, args...)
				return a.out.Flush()
			}}
			if err := d.Run(c.Context(), count, port); err != nil {
				return &fault{why: err, next: "if a port is taken: klamm dev --port PORT", code: ExitError}
			}
			return nil
		},
	}
	c.Flags().IntVarP(&count, "nodes", "n", 3, "how many brokers")
	c.Flags().IntVar(&port, "port", 9092, "port of the first broker for Kafka clients")
	return c
}
