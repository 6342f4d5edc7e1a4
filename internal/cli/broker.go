package cli

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/health"
)

func (a *app) brokerCommand() *cobra.Command {
	return noun("broker", "list brokers, describe them, empty them and take them out", a.brokerList(), a.brokerDescribe(), a.brokerLogDirs(), a.brokerDrain(),
		a.brokerDecommission(), a.brokerRecommission())
}

func (a *app) brokerList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list brokers", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				s, err := health.Read(c.Context(), adm)
				if err != nil {
					return err
				}
				return a.show(s.Brokers, "", brokerTable(s.Brokers), "")
			})
		},
	}
}

type brokerDetail struct {
	health.Broker
	APIs   int               `json:"apis"`   // how many it serves
	Config map[string]string `json:"config"` // what is set, without defaults
	Dirs   []logDir          `json:"log_dirs"`
}

type logDir struct {
	Broker     int32         `json:"broker"`
	Path       string        `json:"path"`
	Error      string        `json:"error,omitempty"`
	Bytes      int64         `json:"bytes"`
	Total      int64         `json:"total_bytes"` // of the file system; -1 when not known
	Free       int64         `json:"usable_bytes"`
	Partitions []logDirEntry `json:"partitions,omitempty"`
	Count      int           `json:"partition_count"`
}

type logDirEntry struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Bytes     int64  `json:"bytes"`
	OffsetLag int64  `json:"offset_lag"`
	Future    bool   `json:"future"`
}

func (a *app) brokerDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe ID", Short: "one broker: configuration that was set, directories, APIs", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeBrokers,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := brokerID(args[0])
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				d, err := a.describeBroker(c, adm, id)
				if err != nil {
					return err
				}
				head := fmt.Sprintf("broker %d   %s, %s, %s, %s served\n", d.ID, d.Address, plural(d.Leaders, "leader"), plural(d.Replicas, "replica"), plural(d.APIs, "API"))
				for _, k := range sortedKeys(d.Config) {
					head += "  " + k + "=" + d.Config[k] + "\n"
				}
				return a.show(d, head, dirTable(d.Dirs), "")
			})
		},
	}
}

func brokerID(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, &fault{what: fmt.Sprintf("%q is not a broker id", s), next: "see the brokers: klamm broker list", code: ExitUsage}
	}
	return int32(n), nil
}

func (a *app) describeBroker(c *cobra.Command, adm *connect.Cluster, id int32) (brokerDetail, error) {
	s, err := health.Read(c.Context(), adm)
	if err != nil {
		return brokerDetail{}, err
	}
	i := slices.IndexFunc(s.Brokers, func(b health.Broker) bool { return b.ID == id })
	if i < 0 {
		return brokerDetail{}, &fault{what: fmt.Sprintf("there is no broker %d", id), next: "see the brokers: klamm broker list", code: ExitError}
	}
	d := brokerDetail{Broker: s.Brokers[i], Config: map[string]string{}, Dirs: []logDir{}}
	configs, err := describeConfigs(c.Context(), adm, resources("broker", strconv.Itoa(int(id))))
	if err != nil {
		return d, err
	}
	for _, entries := range configs {
		for _, e := range entries {
			if e.Source != kmsg.ConfigSourceDefaultConfig.String() {
				d.Config[e.Name] = e.text()
			}
		}
	}
	versions, err := adm.ApiVersions(c.Context())
	if err != nil {
		return d, err
	}
	if v, ok := versions[id]; ok && v.Err == nil {
		v.EachKeySorted(func(int16, int16, int16) { d.APIs++ })
	}
	d.Dirs, err = logDirs(c, adm, []int32{id}, false)
	return d, err
}

func (a *app) brokerLogDirs() *cobra.Command {
	var partitions bool
	c := &cobra.Command{
		Use: "logdirs [ID...]", Short: "data directories and what lies in them", ValidArgsFunction: a.completeBrokers, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				var ids []int32
				for _, s := range args {
					id, err := brokerID(s)
					if err != nil {
						return err
					}
					ids = append(ids, id)
				}
				if len(ids) == 0 {
					brokers, err := adm.ListBrokers(c.Context())
					if err != nil {
						return err
					}
					ids = brokers.NodeIDs()
				}
				dirs, err := logDirs(c, adm, ids, partitions)
				if err != nil {
					return err
				}
				if !partitions {
					return a.show(dirs, "", dirTable(dirs), "")
				}
				t := &table{columns: columns(">BROKER", "PATH", "TOPIC", ">PARTITION", ">BYTES", "+>OFFSET LAG")}
				for _, d := range dirs {
					for _, p := range d.Partitions {
						t.add(d.Broker, d.Path, p.Topic, p.Partition, p.Bytes, p.OffsetLag)
					}
				}
				return a.show(dirs, "", t, "")
			})
		},
	}
	c.Flags().BoolVar(&partitions, "partitions", false, "each partition by itself")
	return c
}

func logDirs(c *cobra.Command, adm *connect.Cluster, ids []int32, partitions bool) ([]logDir, error) {
	out := []logDir{}
	for _, id := range ids {
		dirs, err := adm.DescribeBrokerLogDirs(c.Context(), id, nil)
		if err != nil {
			return nil, &fault{what: fmt.Sprintf("broker %d", id), why: err}
		}
		for _, d := range dirs.Sorted() {
			out = append(out, dirOf(id, d, partitions))
		}
	}
	return out, nil
}

func dirOf(id int32, d kadm.DescribedLogDir, partitions bool) logDir {
	l := logDir{Broker: id, Path: d.Dir, Total: d.TotalBytes, Free: d.UsableBytes}
	if d.Err != nil {
		l.Error = d.Err.Error()
	}
	for _, p := range d.Topics.Sorted() {
		l.Count++
		l.Bytes += p.Size
		if partitions {
			l.Partitions = append(l.Partitions, logDirEntry{p.Topic, p.Partition, p.Size, p.OffsetLag, p.IsFuture})
		}
	}
	return l
}

func dirTable(dirs []logDir) *table {
	t := &table{columns: columns(">BROKER", "PATH", ">PARTITIONS", ">SIZE", ">FREE", ">OF", "ERROR")}
	for _, d := range dirs {
		free, total := "-", "-"
		if d.Total > 0 {
			free, total = size(d.Free), size(d.Total)
		}
		t.add(d.Broker, d.Path, d.Count, size(d.Bytes), free, total, dash(d.Error))
	}
	return t
}
