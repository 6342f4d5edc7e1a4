package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/health"
)

func (a *app) clusterQuorum() *cobra.Command {
	return &cobra.Command{
		Use: "quorum", Short: "who votes on the metadata, who follows it and how far each is", Args: cobra.NoArgs,
		Long: "Members of the metadata quorum: voters decide, learners follow. Votes are given and taken with kafka-metadata-quorum add-controller and\n" +
			"remove-controller, which want the id and the directory id shown here; the quorum grows to klamm.controllers by itself.",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				s, err := health.ReadQuorum(c.Context(), adm)
				if err != nil {
					return err
				}
				head := fmt.Sprintf("leader %d, term %d, high watermark %d\n", s.Leader, s.Term, s.HighWatermark)
				if s.Leader < 0 {
					head = fmt.Sprintf("no leader, term %d, high watermark %d\n", s.Term, s.HighWatermark)
				}
				return a.show(s, head, quorumTable(s.Members), s.Advice())
			})
		},
	}
}

func quorumTable(members []health.Member) *table {
	t := &table{columns: columns(">ID", "ROLE", ">LOG END", ">LAG", ">HEARD OF", ">CAUGHT UP", "ADDRESS", "DIRECTORY")}
	for i := range members {
		m := &members[i]
		lag := dash("")
		if m.Lag >= 0 {
			lag = fmt.Sprint(m.Lag)
		}
		t.add(m.ID, m.Role, m.End, lag, ago(m.HeardMs), ago(m.CaughtMs), dash(m.Address), m.Directory)
	}
	return t
}

func ago(ms int64) string {
	switch {
	case ms < 0:
		return "never"
	case ms < 1000:
		return "just now"
	}
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String() + " ago"
}
