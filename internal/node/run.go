package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

// Run starts a node and serves until ctx ends, which is a clean end and gives nil, or something breaks.
func Run(ctx context.Context, f Flags) error {
	n, err := Start(ctx, f)
	if err != nil {
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
	n, err := build(ctx, s, f.Version, log, level)
	if err != nil {
		return nil, err
	}
	log.Info("ready", "kafka", n.KafkaAddr(), "http", n.HTTPAddr(), "node", n.me, "cluster", n.identity.cluster, "version", f.Version)
	return n, nil
}

// Stop ends a node cleanly: clients get their last answers, and the next start need not look at the logs.
func (n *Node) Stop() error {
	if err := n.stop(true); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// KafkaAddr is where clients connect: the first listener's address.
func (n *Node) KafkaAddr() string { return n.edges.listeners[0].socket.Addr().String() }

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
