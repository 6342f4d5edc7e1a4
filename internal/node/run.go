package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

// Run starts a node and serves until ctx ends, which is a clean end and gives nil, or something breaks.
func Run(ctx context.Context, f Flags) error {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(leastProcs, runtime.GOMAXPROCS(0)))
	}
	n, err := Start(ctx, f)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // told to stop before it was ready, while it waited for other nodes perhaps
	case err != nil:
		return err
	}
	if terminal(f.Stdout) {
		fmt.Fprint(f.Stdout, n.welcome())
	}
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
		if err := n.Stop(); err != nil {
			return err
		}
		n.log.Info("stopped")
		return nil
	case err := <-n.failed:
		n.log.Error("node failed", "err", err)
		if stopErr := n.stop(false); stopErr != nil {
			n.log.Error("stopping", "err", stopErr)
		}
		return err
	}
}

// leastProcs are processors for goroutines even where the machine lends one: a thread that waits for the disk keeps its processor until the
// runtime's watchdog takes it away, up to 10 ms later, and with a single one every request waits that long behind each sync.
const leastProcs = 2

// Start builds a node and returns when clients are served. ctx bounds the start only.
func Start(ctx context.Context, f Flags) (*Node, error) {
	s, err := f.settings()
	if err != nil {
		return nil, err
	}
	log, level, err := newLogger(f.Stderr, s.static.String("klamm.log.format"), s.static.String("klamm.log.level"))
	if err != nil {
		return nil, err
	}
	for _, w := range s.warnings {
		log.Warn(w)
	}
	n, err := build(ctx, s, f.Version, f.World.filled(log, level))
	if err != nil {
		return nil, err
	}
	log.Info("ready", "kafka", n.KafkaAddr(), "http", n.HTTPAddr(), "nodes", n.NodeAddr(), "node", n.me, "cluster", n.identity.cluster, "version", f.Version)
	return n, nil
}

// Stop ends a node cleanly: clients get their last answers, and the next start need not look at the logs.
func (n *Node) Stop() error {
	if err := n.stop(true); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// Kill ends a node as a crash would: nobody is told, and nothing is marked clean.
func (n *Node) Kill() error {
	// What faces the outside goes first, and at once: the rest of a dead process is silent.
	err := errors.Join(n.edges.server.Close(), n.unlink(), n.stop(false))
	if err != nil {
		return fmt.Errorf("killing: %w", err)
	}
	return nil
}

// ID is the node's id in its cluster.
func (n *Node) ID() int { return int(n.me) }

// KafkaAddr is where clients connect: the first listener's address.
func (n *Node) KafkaAddr() string { return n.edges.listeners[0].socket.Addr().String() }

// NodeAddr is where other nodes reach this one, "" when none can.
func (n *Node) NodeAddr() string { return n.links.self }

// HTTPAddr is where health and metrics are.
func (n *Node) HTTPAddr() string { return n.edges.httpAddr }

func (n *Node) brokerEpoch() model.BrokerEpoch { return model.BrokerEpoch(n.epoch.Load()) }

// welcome says what to type next.
func (n *Node) welcome() string {
	b := ""
	if addr := n.KafkaAddr(); addr != defaultListen {
		b = " -b " + addr
	}
	lines := []string{
		"",
		"  Klamm is ready. In another terminal:",
		"",
		"    klamm topic create orders --partitions 3" + b,
		"    echo 'hello' | klamm produce orders" + b,
		"    klamm consume orders --from-beginning" + b,
		"",
		"  Kafka clients: " + n.KafkaAddr() + "    health and metrics: http://" + n.HTTPAddr() + "    stop: Ctrl-C",
		"",
	}
	return strings.Join(lines, "\n") + "\n"
}
