package klammtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/klammtest"
)

func httpGet(ctx context.Context, b *klammtest.Broker, path string) (string, error) {
	return getHTTP(ctx, b.HTTPAddr(), path)
}

func getHTTP(ctx context.Context, addr, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// happened lists events as a node tells them for the whole cluster, one per line.
func happened(ctx context.Context, b *klammtest.Broker) (string, error) {
	body, err := httpGet(ctx, b, "/api/v1/events")
	if err != nil {
		return "", err
	}
	var got struct {
		Events []struct {
			Node               int
			Kind, Reason, Text string
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		return "", fmt.Errorf("%w: %s", err, body)
	}
	var out strings.Builder
	for _, e := range got.Events {
		fmt.Fprintf(&out, "%s/%s: %s\n", e.Kind, e.Reason, e.Text)
	}
	return out.String(), nil
}

// TestEventsTellWhatHappenedAndWhy: any node tells it, whoever decided.
func TestEventsTellWhatHappenedAndWhy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Set("replica.lag.time.max.ms", "1000"))
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	if r, err := adm.CreateTopic(ctx, 1, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, "t"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	m := awaitMembers(ctx, t, cl, "voters [1 2 3], observers []")
	victim := int(m.leader%3 + 1) // not the controller: that one tells of it
	say := func(want ...string) {
		t.Helper()
		eventually(ctx, t, fmt.Sprint(want), func() error {
			for _, b := range c.Brokers {
				if b.NodeID() == 0 {
					continue
				}
				all, err := happened(ctx, b)
				if err != nil {
					return err
				}
				for _, w := range want {
					if !strings.Contains(all, w) {
						return fmt.Errorf("node %d does not say %q:\n%s", b.NodeID(), w, all)
					}
				}
			}
			return nil
		})
	}
	say("controller-active/elected: node ", "broker-registered/new: broker 1 registered, at 127.0.0.1:", "broker-unfenced/caught up: broker 2 takes part")
	b := c.Broker(victim)
	b.Kill()
	say(fmt.Sprintf("broker-fenced/gone: broker %d fenced: its process is dead (its connections closed)", victim),
		fmt.Sprintf("isr-left/gone: broker %d left the ISR of t-0: broker %d is fenced, its process is dead", victim, victim))
	note(ctx, t, c, fmt.Sprintf("[!] cluster: replicas: 1 partitions under-replicated: t-0 (broker %d is fenced)", victim))
	c.Start()
	say(fmt.Sprintf("broker-registered/restart: broker %d", victim), fmt.Sprintf("isr-entered/caught up: broker %d entered the ISR of t-0", victim))
	note(ctx, t, c, "[+] cluster: replicas: all in sync")

	// An administrator's election and reassignment.
	if err := electPreferred(ctx, adm); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "the controller takes it", func() error { return reassign(ctx, t, adm, "t", map[int32][]int32{0: {1, 2}}) })
	say("reassignment-ended/done: reassignment done of t-0")
	ordered(ctx, t, "removing a voter", kerr.VoterNotFound, func() error { return removeVoter(ctx, cl, int32(victim), m.directory[int32(victim)]) })
	say(fmt.Sprintf("voter-removed/order: node %d votes no more in the metadata quorum", victim))
	// Who decides counts, and who leads now knows what ails.
	for _, want := range []string{`klamm_cluster_events_total{kind="broker-fenced",reason="gone"} 1`, "klamm_cluster_under_replicated_partitions 0"} {
		eventually(ctx, t, want, func() error {
			all := ""
			for _, b := range c.Brokers {
				metrics, err := httpGet(ctx, b, "/metrics")
				if err != nil || strings.Contains(metrics, want+"\n") {
					return err
				}
				all += grep(metrics, "klamm_cluster")
			}
			return fmt.Errorf("nobody says so:\n%s", all)
		})
	}
}

func electPreferred(ctx context.Context, adm *kadm.Client) error {
	_, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
	if err != nil && !kerr.IsRetriable(err) {
		return err
	}
	return nil
}

func grep(s, with string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		if strings.Contains(line, with) && !strings.HasPrefix(line, "#") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// note waits until every broker's /readyz?verbose says so, and is ready.
func note(ctx context.Context, t *testing.T, c *klammtest.Cluster, want string) {
	t.Helper()
	eventually(ctx, t, want, func() error {
		for _, b := range c.Brokers {
			if b.NodeID() == 0 {
				continue
			}
			body, err := httpGet(ctx, b, "/readyz?verbose")
			if err == nil && (!strings.Contains(body, want) || !strings.HasSuffix(body, "\nready\n")) {
				err = fmt.Errorf("node %d: %s", b.NodeID(), body)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
