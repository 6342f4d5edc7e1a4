package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/health"
)

func (a *app) clusterCommand() *cobra.Command {
	return noun("cluster", "status and health of the cluster, its quorum, and what happened to it", a.clusterStatus(), a.clusterHealth(), a.clusterQuorum(), a.clusterEvents())
}

func brokerTable(list []health.Broker) *table {
	t := &table{columns: columns(">ID", "ADDRESS", "CONTROLLER", ">LEADERS", ">REPLICAS", "+RACK")}
	for _, b := range list {
		controller := "-"
		if b.Controller {
			controller = "yes"
		}
		t.add(b.ID, b.Address, controller, b.Leaders, b.Replicas, dash(b.Rack))
	}
	return t
}

func (a *app) clusterStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "brokers, topics and partitions in brief", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				s, err := health.Read(c.Context(), adm)
				if err != nil {
					return err
				}
				head := fmt.Sprintf("cluster %s   %s, %s, %s\n", s.ID, plural(len(s.Brokers), "broker"), plural(s.Topics, "topic"), plural(s.Partitions, "partition"))
				tail := ""
				for _, w := range []struct {
					what string
					list []string
				}{{"without a leader", s.Offline}, {"under min.insync.replicas", s.UnderMinISR}, {"under-replicated", s.UnderReplicated}, {"not led by the preferred replica", s.NotPreferred}} {
					if n := len(w.list); n > 0 {
						tail += fmt.Sprintf("%s %s: %s\n", plural(n, "partition"), w.what, s.Some(w.list))
					}
				}
				return a.show(s, head, brokerTable(s.Brokers), tail)
			})
		},
	}
}

type healthCheck struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func (a *app) clusterHealth() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use: "health", Short: "is everything as it should be; exit code 1 when not", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			asked := address
			if asked == "" {
				asked = a.env.variable("KLAMM_HTTP")
			}
			var checks []healthCheck
			addresses := []string{asked}
			err := a.withAdmin(func(adm *connect.Cluster) error {
				s, err := health.Read(c.Context(), adm)
				if err != nil {
					return err
				}
				checks = append(checks, protocolChecks(&s)...)
				if asked == "" {
					addresses, err = httpAddresses(c.Context(), adm)
				}
				return err
			})
			if err != nil {
				return err
			}
			for _, addr := range addresses {
				checks = append(checks, a.httpCheck(c.Context(), addr))
			}
			return a.showHealth(checks)
		},
	}
	c.Flags().StringVar(&address, "http", "", "host:port of a node's HTTP listener (KLAMM_HTTP; default: every broker's that this machine reaches)")
	return c
}

func protocolChecks(s *health.State) []healthCheck {
	return []healthCheck{
		{"brokers", len(s.Brokers) > 0, fmt.Sprintf("%d registered", len(s.Brokers))},
		{"controller", s.Controller >= 0, fmt.Sprintf("broker %d", s.Controller)},
		{"leaders", len(s.Offline) == 0, countOr(s, "all partitions have one", "without a leader", s.Offline)},
		{"min.insync.replicas", len(s.UnderMinISR) == 0, countOr(s, "reached everywhere", "under it", s.UnderMinISR)},
		{"replicas", len(s.UnderReplicated) == 0, countOr(s, "all in sync", "under-replicated", s.UnderReplicated)},
		{"leader skew", len(s.Skewed) == 0, skew(s)},
	}
}

func skew(s *health.State) string {
	if len(s.Skewed) == 0 {
		return fmt.Sprintf("%s not led by the preferred replica", plural(len(s.NotPreferred), "partition"))
	}
	return strings.Join(s.Skewed, ", ")
}

func countOr(s *health.State, fine, wrong string, list []string) string {
	if len(list) == 0 {
		return fine
	}
	return fmt.Sprintf("%s %s: %s", plural(len(list), "partition"), wrong, s.Some(list))
}

// httpCheck asks /readyz.
func (a *app) httpCheck(ctx context.Context, address string) healthCheck {
	ctx, cancel := context.WithTimeout(ctx, min(a.flags.timeout, 2*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz?verbose", nil)
	if err != nil {
		return healthCheck{"ready", false, err.Error()}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return healthCheck{"ready", false, "http://" + address + " does not answer: " + rootCause(err).Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return healthCheck{"ready", false, err.Error()}
	}
	detail := "http://" + address + "/readyz says " + resp.Status
	if resp.StatusCode != http.StatusOK {
		detail += ": " + strings.Join(strings.Fields(string(body)), " ")
	}
	return healthCheck{"ready", resp.StatusCode == http.StatusOK, detail}
}

func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func (a *app) showHealth(checks []healthCheck) error {
	healthy := true
	t := &table{columns: columns("CHECK", "OK", "DETAIL")}
	for _, h := range checks {
		mark := "yes"
		if !h.OK {
			healthy, mark = false, "NO"
		}
		t.add(h.Check, mark, h.Detail)
	}
	verdict := "healthy"
	if !healthy {
		verdict = "not healthy"
	}
	if a.colorOut() {
		color := map[bool]string{true: "32", false: "31"}[healthy]
		verdict = "\x1b[" + color + "m" + verdict + "\x1b[0m"
	}
	err := a.show(struct {
		Healthy bool          `json:"healthy"`
		Checks  []healthCheck `json:"checks"`
	}{healthy, checks}, verdict+"\n", t, "")
	if err == nil && !healthy {
		err = silent(ExitError)
	}
	return err
}
