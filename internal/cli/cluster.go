package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
)

func (a *app) clusterCommand() *cobra.Command {
	return noun("cluster", "status and health of the cluster", a.clusterStatus(), a.clusterHealth())
}

type clusterState struct {
	ID              string          `json:"id"`
	Controller      int32           `json:"controller"`
	Brokers         []brokerSummary `json:"brokers"`
	Topics          int             `json:"topics"`
	Partitions      int             `json:"partitions"`
	Offline         []string        `json:"offline_partitions"`          // without a leader
	UnderReplicated []string        `json:"under_replicated_partitions"` // fewer in sync than replicas
}

type brokerSummary struct {
	ID         int32  `json:"id"`
	Address    string `json:"address"`
	Rack       string `json:"rack,omitempty"`
	Controller bool   `json:"controller"`
	Leaders    int    `json:"leaders"`
	Replicas   int    `json:"replicas"`
}

func readCluster(ctx context.Context, adm *connect.Cluster) (clusterState, error) {
	m, err := adm.Metadata(ctx)
	if err != nil {
		return clusterState{}, err
	}
	s := clusterState{ID: m.Cluster, Controller: m.Controller, Brokers: []brokerSummary{}, Offline: []string{}, UnderReplicated: []string{}}
	leaders, replicas := map[int32]int{}, map[int32]int{}
	for _, t := range m.Topics.Sorted() {
		s.Topics++
		for _, p := range t.Partitions.Sorted() {
			s.Partitions++
			leaders[p.Leader]++
			for _, r := range p.Replicas {
				replicas[r]++
			}
			name := fmt.Sprintf("%s-%d", t.Topic, p.Partition)
			if p.Leader < 0 {
				s.Offline = append(s.Offline, name)
			}
			if len(p.ISR) < len(p.Replicas) {
				s.UnderReplicated = append(s.UnderReplicated, name)
			}
		}
	}
	for _, b := range m.Brokers {
		s.Brokers = append(s.Brokers, summaryOf(b, m.Controller, leaders, replicas))
	}
	return s, nil
}

func summaryOf(b kadm.BrokerDetail, controller int32, leaders, replicas map[int32]int) brokerSummary {
	s := brokerSummary{ID: b.NodeID, Address: net.JoinHostPort(b.Host, fmt.Sprint(b.Port)), Controller: b.NodeID == controller, Leaders: leaders[b.NodeID], Replicas: replicas[b.NodeID]}
	if b.Rack != nil {
		s.Rack = *b.Rack
	}
	return s
}

func brokerTable(list []brokerSummary) *table {
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
				s, err := readCluster(c.Context(), adm)
				if err != nil {
					return err
				}
				head := fmt.Sprintf("cluster %s   %s, %s, %s\n", s.ID, plural(len(s.Brokers), "broker"), plural(s.Topics, "topic"), plural(s.Partitions, "partition"))
				tail := ""
				if n := len(s.Offline); n > 0 {
					tail += fmt.Sprintf("%s without a leader: %s\n", plural(n, "partition"), some(s.Offline))
				}
				if n := len(s.UnderReplicated); n > 0 {
					tail += fmt.Sprintf("%s under-replicated: %s\n", plural(n, "partition"), some(s.UnderReplicated))
				}
				return a.show(s, head, brokerTable(s.Brokers), tail)
			})
		},
	}
}

func some(list []string) string {
	const most = 10
	if len(list) <= most {
		return strings.Join(list, " ")
	}
	return strings.Join(list[:most], " ") + fmt.Sprintf(" and %d more", len(list)-most)
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
			var checks []healthCheck
			err := a.withAdmin(func(adm *connect.Cluster) error {
				s, err := readCluster(c.Context(), adm)
				if err != nil {
					return err
				}
				checks = append(checks, protocolChecks(s)...)
				return nil
			})
			if err != nil {
				return err
			}
			asked := address
			if asked == "" {
				asked = a.env.variable("KLAMM_HTTP")
			}
			checks = append(checks, a.httpCheck(c.Context(), asked)...)
			return a.showHealth(checks)
		},
	}
	c.Flags().StringVar(&address, "http", "", "host:port of a node's HTTP listener (KLAMM_HTTP; default the bootstrap host, port 9094)")
	return c
}

func protocolChecks(s clusterState) []healthCheck {
	return []healthCheck{
		{"brokers", len(s.Brokers) > 0, fmt.Sprintf("%d registered", len(s.Brokers))},
		{"controller", s.Controller >= 0, fmt.Sprintf("broker %d", s.Controller)},
		{"leaders", len(s.Offline) == 0, countOr("all partitions have one", "partition", "without a leader", s.Offline)},
		{"replicas", len(s.UnderReplicated) == 0, countOr("all in sync", "partition", "under-replicated", s.UnderReplicated)},
	}
}

func countOr(fine, thing, wrong string, list []string) string {
	if len(list) == 0 {
		return fine
	}
	return fmt.Sprintf("%s %s: %s", plural(len(list), thing), wrong, some(list))
}

// httpCheck asks /readyz. Where nobody named the address and nobody answers, the protocol's view is all there is.
func (a *app) httpCheck(ctx context.Context, address string) []healthCheck {
	guessed := address == ""
	if guessed {
		first, _, _ := strings.Cut(a.bootstrap(), ",")
		host, port, err := net.SplitHostPort(first)
		if err != nil {
			host = first
		} else if port != "9092" {
			return nil // a node that is not at the usual place has its HTTP somewhere else too
		}
		address = net.JoinHostPort(host, "9094")
	}
	ctx, cancel := context.WithTimeout(ctx, min(a.flags.timeout, 2*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz?verbose", nil)
	if err != nil {
		return []healthCheck{{"ready", false, err.Error()}}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if guessed {
			return nil
		}
		return []healthCheck{{"ready", false, "http://" + address + " does not answer: " + rootCause(err).Error()}}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return []healthCheck{{"ready", false, err.Error()}}
	}
	detail := "http://" + address + "/readyz says " + resp.Status
	if resp.StatusCode != http.StatusOK {
		detail += ": " + strings.Join(strings.Fields(string(body)), " ")
	}
	return []healthCheck{{"ready", resp.StatusCode == http.StatusOK, detail}}
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
