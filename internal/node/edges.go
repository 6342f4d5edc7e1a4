package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/server"
)

// listen opens the sockets clients come to. Nothing is accepted before serve.
func (n *Node) listen(listeners []config.Listener) error {
	for _, l := range listeners {
		socket, err := n.net.Listen("tcp", l.Address())
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		n.edges.listeners = append(n.edges.listeners, bound{l, socket})
	}
	return nil
}

// serve takes requests on the open sockets.
func (n *Node) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	n.edges.cancel = cancel
	n.edges.metrics = &api.Metrics{}
	o := api.Options{
		Me: n.me, Image: n.image.Load, Controller: n.controller, Remote: remote{n}, Quorum: n.quorum, Groups: n.groups, Partitions: n, Resolver: n.resolver,
		Advertised: n.advertised, ProducerIDs: controller.NewProducerIDs(n.allocateProducerIDs).Next,
		Clock: n.clock, Logger: n.log.With("component", "api"), LogLevel: n.level, Metrics: n.edges.metrics,
		Limits: api.Limits{
			NoAutoCreate: !n.static.Bool("auto.create.topics.enable"), FetchMaxBytes: n.static.Int("fetch.max.bytes"),
			FetchSessions: n.static.Int("max.incremental.fetch.session.cache.slots"),
			NearReplicas:  n.static.String("replica.selector.class") == config.RackAwareSelector,
		},
	}
	handler := api.New(ctx, o)
	n.links.doors.Store(&doors{clients: handler, followers: api.NewNodePort(ctx, o)})
	n.edges.server = server.New(server.Options{
		Handler: handler, Clock: n.clock, Logger: n.log.With("component", "server"), Observer: n.edges.metrics, Limits: n.limits(),
	})
	for _, b := range n.edges.listeners {
		n.edges.done.Go(func() {
			if err := n.edges.server.Serve(b.socket, server.Listener{Name: b.Name}); err != nil {
				n.fail(fmt.Errorf("listener %s: %w", b.Name, err))
			}
		})
	}
}

// limits takes what the configuration sets over the server's own defaults; Kafka's "unlimited" stays ours, which is not.
func (n *Node) limits() server.Limits {
	l := server.Limits{FrameBytes: n.static.Int("socket.request.max.bytes"), Idle: n.static.Duration("connections.max.idle.ms")}
	for key, field := range map[string]*int{
		"max.connections": &l.Connections, "max.connections.per.ip": &l.ConnectionsPerIP, "max.connection.creation.rate": &l.ConnectionsPerSecond,
		"klamm.request.max.bytes": &l.OtherFrameBytes,
	} {
		if n.static.IsSet(key) {
			*field = n.static.Int(key)
		}
	}
	if n.static.IsSet("queued.max.request.bytes") {
		l.QueuedBytes = n.static.Int64("queued.max.request.bytes")
	}
	return l
}

// drainTime is how long clients get to take their last answers when the node stops.
const drainTime = 5 * time.Second

// stop takes the node apart in reverse; clean says that nothing went wrong, so that the next start need not look.
func (n *Node) stop(clean bool) error {
	n.stopping.Store(true)
	if clean && n.started.Load() {
		n.leave()
	}
	var errs []error
	e := &n.edges
	if e.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		// Waiting group members are told at once; what is being written gets its time.
		e.cancel()
		if err := e.server.Drain(ctx); err != nil {
			n.log.Warn("clients were cut off", "err", err)
		}
		cancel()
		errs = append(errs, e.server.Close())
	} else {
		for _, b := range e.listeners {
			errs = append(errs, b.socket.Close())
		}
	}
	n.following.close()
	if n.groups != nil {
		n.groups.Close()
	}
	if n.controller != nil {
		n.controller.Close()
	}
	if n.quorum != nil {
		errs = append(errs, n.quorum.Close())
	}
	errs = append(errs, n.unlink())
	n.unopened.stop()
	if n.dirs != nil {
		epoch := n.brokerEpoch()
		if !clean {
			epoch = -1
		}
		errs = append(errs, n.dirs.close(epoch))
	}
	if e.http != nil {
		errs = append(errs, e.http.Close())
	}
	e.done.Wait()
	return errors.Join(errs...)
}
