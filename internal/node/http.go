package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/klamm/klamm/internal/admin"
)

// HTTP is opened before anything else, so that who looks after the node can tell one that waits, or recovers, from one that is dead.

// stage is what a node that starts is about.
type stage struct{ name, detail string }

// stages holds the stage, nil when the node has started, and the handler that goes with it.
type stages struct {
	now     atomic.Pointer[stage]
	handler atomic.Pointer[http.Handler]
}

// ServeHTTP implements http.Handler.
func (s *stages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.handler.Load()).ServeHTTP(w, r)
}

// enters says what the node is about from here on.
func (n *Node) enters(name, detail string) { n.edges.stages.now.Store(&stage{name, detail}) }

// openHTTP takes requests while nothing else is there yet.
func (n *Node) openHTTP(addr string) error {
	socket, err := n.net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("HTTP listener (klamm.http.listen): %w", err)
	}
	n.edges.httpAddr = socket.Addr().String()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.handle(admin.Options{
		Checks: n.starting, Started: n.started.Load, Metrics: reg,
		Events: func(_ context.Context, q admin.EventQuery) admin.Events {
			return admin.Events{List: n.edges.happened.Newest(q.Since, q.Limit)}
		},
		Index: func() string {
			return fmt.Sprintf("Klamm %s, starting\n\n/readyz?verbose  /metrics  /livez  /startupz\n", n.version)
		},
	})
	n.edges.http = &http.Server{Handler: &n.edges.stages, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	n.edges.done.Go(func() {
		if err := n.edges.http.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("HTTP listener: %w", err))
		}
	})
	return nil
}

func (n *Node) handle(o admin.Options) {
	h := admin.New(o)
	n.edges.stages.handler.Store(&h)
}

// serveHTTP shows all there is, once it is there.
func (n *Node) serveHTTP() {
	n.handle(admin.Options{Checks: n.checks, Notes: n.notes, Started: n.started.Load, Metrics: n.registry(), Events: n.collectEvents, Index: n.index})
}

// starting is the one check of a node that is not there yet.
func (n *Node) starting() []admin.Check {
	if st := n.edges.stages.now.Load(); st != nil {
		return []admin.Check{{Name: st.name, Detail: st.detail}}
	}
	return []admin.Check{{Name: "starting"}}
}

// index is the page at the root of the HTTP listener.
func (n *Node) index() string {
	img := n.image.Load()
	return fmt.Sprintf("Klamm %s, node %d of cluster %s\n%d topics, %d partitions\n\n/readyz?verbose  /metrics  /livez  /startupz  /api/v1/events\n",
		n.version, n.me, n.identity.cluster, img.TopicCount(), img.PartitionCount())
}

// httpConfigured is klamm.http.listen with the port that a 0 became, for clients to read; "" when it needs no change.
func (n *Node) httpConfigured(configured string) string {
	host, port, err := net.SplitHostPort(configured)
	_, bound, boundErr := net.SplitHostPort(n.edges.httpAddr)
	if err != nil || boundErr != nil || port != "0" {
		return ""
	}
	return net.JoinHostPort(host, bound)
}

// probe looks whether the ports of the listeners are free, before anything is written: a start that fails for that leaves no trace. They are opened
// for good when clients can be served, who would wait in vain before that.
func (n *Node) probe(s *settings) error {
	for _, l := range s.kafka {
		if l.Port == 0 {
			continue
		}
		socket, err := n.net.Listen("tcp", l.Address())
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		if err := socket.Close(); err != nil {
			return fmt.Errorf("listener %s on port %s: %w", l.Name, strconv.Itoa(l.Port), err)
		}
	}
	return nil
}
