package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
)

// clusterEvents as GET /api/v1/events has them.
type clusterEvents struct {
	Events  []clusterEvent `json:"events"`
	Missing []struct {
		Node  int32  `json:"node"`
		Error string `json:"error"`
	} `json:"missing,omitempty"`
}

type clusterEvent struct {
	Time      time.Time `json:"time"`
	Node      int32     `json:"node"`
	Kind      string    `json:"kind"`
	Reason    string    `json:"reason,omitempty"`
	Broker    *int32    `json:"broker,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Partition *int32    `json:"partition,omitempty"`
	Text      string    `json:"text"`
}

func (a *app) clusterEvents() *cobra.Command {
	var address, kind string
	var since time.Duration
	var limit int
	c := &cobra.Command{
		Use: "events", Short: "what happened to the cluster, and why", Args: cobra.NoArgs,
		Long: "Brokers that came, went or were fenced, leaders that moved, replicas that left the ISR or came back, reassignments, votes: with the reasons. Nodes keep\n" +
			"the newest 2,000 each, in memory, and any one of them asks the others: GET /api/v1/events on its HTTP listener. Which that is the brokers say\n" +
			"(klamm.http.listen); it is open to the machine itself alone unless configured otherwise.",
		Example: "  klamm cluster events --since 1h\n  klamm cluster events --kind isr-left\n  klamm cluster events --http 10.0.0.5:9094 -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("--limit %d: at least 1", limit)
			}
			got, err := a.readEvents(c.Context(), address, since, limit)
			if err != nil {
				return err
			}
			got.only(kind)
			t := &table{columns: columns("TIME", "+>TOLD BY", "KIND", "+REASON", "WHAT")}
			for i := range got.Events {
				e := &got.Events[i]
				t.add(e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Node, e.Kind, dash(e.Reason), e.Text)
			}
			tail := ""
			for _, m := range got.Missing {
				tail += fmt.Sprintf("node %d could not be asked: %s\n", m.Node, m.Error)
			}
			if err := a.show(got, "", t, tail); err != nil {
				return err
			}
			if len(got.Missing) > 0 {
				return silent(ExitPartial)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&address, "http", "", "host:port of a node's HTTP listener (KLAMM_HTTP; default: ask the brokers where they listen)")
	f.DurationVar(&since, "since", 0, "how far back, as in 30m or 24h; 0 is all there is")
	f.IntVar(&limit, "limit", 1000, "the newest, at most")
	f.StringVar(&kind, "kind", "", "of one kind only, as in broker-fenced")
	return c
}

func (e *clusterEvents) only(kind string) {
	if kind == "" {
		return
	}
	kept := []clusterEvent{}
	for i := range e.Events {
		if e.Events[i].Kind == kind {
			kept = append(kept, e.Events[i])
		}
	}
	e.Events = kept
}

// readEvents asks the first node that answers.
func (a *app) readEvents(ctx context.Context, address string, since time.Duration, limit int) (*clusterEvents, error) {
	if address == "" {
		address = a.env.variable("KLAMM_HTTP")
	}
	addresses := []string{address}
	if address == "" {
		err := a.withAdmin(func(adm *connect.Cluster) (err error) {
			addresses, err = httpAddresses(ctx, adm)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if since > 0 {
		q.Set("since", time.Now().Add(-since).UTC().Format(time.RFC3339))
	}
	last := errors.New("no broker takes it where this machine reaches it (klamm.http.listen)")
	for _, addr := range addresses {
		got, err := a.getEvents(ctx, "http://"+addr+"/api/v1/events?"+q.Encode())
		if err == nil {
			return got, nil
		}
		last = err
	}
	return nil, &fault{
		what: strings.TrimSpace("no node answers on HTTP " + strings.Join(addresses, ", ")), why: last,
		next: "run this on a broker's machine, or name one that is reachable: klamm cluster events --http HOST:PORT", code: ExitError,
	}
}

func (a *app) getEvents(ctx context.Context, from string) (*clusterEvents, error) {
	ctx, cancel := context.WithTimeout(ctx, a.flags.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, rootCause(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s says %s: %s", from, resp.Status, strings.TrimSpace(string(body)))
	}
	got := &clusterEvents{}
	if err := json.Unmarshal(body, got); err != nil {
		return nil, fmt.Errorf("%s does not answer as a node of Klamm does: %w", from, err)
	}
	return got, nil
}

// httpAddresses are where the brokers say that they take HTTP, by broker id. One that listens on all addresses is reached where its clients reach it.
func httpAddresses(ctx context.Context, adm *connect.Cluster) ([]string, error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, b := range brokers {
		configs, err := describeConfigs(ctx, adm, resources("broker", strconv.Itoa(int(b.NodeID))))
		if err != nil {
			return nil, err
		}
		for _, entries := range configs {
			for _, e := range entries {
				if e.Name != "klamm.http.listen" || e.Value == nil {
					continue
				}
				if addr, ok := connect.SeenFromHere(*e.Value, b.Host); ok {
					out = append(out, addr)
				}
			}
		}
	}
	return out, nil
}
