package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) serverCommand() *cobra.Command {
	var o ServerOptions
	c := &cobra.Command{
		Use:   "server",
		Short: "run a broker; without flags a working node on 9092, data in ./data",
		Long: "Run a broker until SIGTERM or Ctrl-C. Every key of docs/configuration.md may come from --config, from KAFKA_* and KLAMM_*\n" +
			"variables, or from -X; the flags here are shorthand for the most used ones.",
		Example: "  klamm server\n  klamm server --data /var/lib/klamm --listen 0.0.0.0:9092\n  klamm server --config server.properties -X num.partitions=3\n" +
			"  klamm server --node-listen 10.0.0.1:9093 --join 10.0.0.1:9093,10.0.0.2:9093,10.0.0.3:9093",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Set = a.flags.set
			for flag, field := range map[string]*string{"config": &o.Config, "data": &o.Data, "listen": &o.Listen} {
				if *field == "" {
					*field = a.env.variable(map[string]string{"config": "KLAMM_CONFIG", "data": "KLAMM_DATA", "listen": "KLAMM_LISTEN"}[flag])
				}
			}
			return a.env.Server(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Config, "config", "", "server.properties or YAML file (KLAMM_CONFIG)")
	f.StringVar(&o.Data, "data", "", "data directory (KLAMM_DATA; default ./data)")
	f.StringVar(&o.Listen, "listen", "", "host:port for Kafka clients, port 0 for any (KLAMM_LISTEN; default 127.0.0.1:9092)")
	f.StringVar(&o.NodeListen, "node-listen", "", "host:port for other nodes (default 127.0.0.1:9093)")
	f.StringVar(&o.Join, "join", "", "host:port,... of nodes: found a cluster with them when this node is among them, else join theirs")
	f.StringVar(&o.HTTPListen, "http-listen", "", "host:port for health, metrics and admin API (default 127.0.0.1:9094)")
	return c
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := a.format()
			if err != nil {
				return err
			}
			if f == "json" || f == "yaml" {
				return a.show(struct {
					Version string `json:"version"`
				}{a.env.Version}, "", nil, "")
			}
			a.printf("klamm %s\n", a.env.Version)
			return nil
		},
	}
}
