package interop

import (
	"context"
	"time"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/process"
)

// machines are the processes of a cluster, by their place in its list of addresses: stopped, killed and started again.
type machines interface {
	Kill(place int)
	Terminate(place int, limit time.Duration) error
	Start(place int) error
	PID(place int) int
}

// klammMachines are Klamm's.
type klammMachines struct{ *process.Cluster }

// PID is the process id.
func (m klammMachines) PID(place int) int { return m.Node(place).PID() }

// kafkaMachines are Apache Kafka's.
type kafkaMachines struct {
	ctx     context.Context //nolint:containedctx // of the test that they live in
	brokers []*kafkaref.Broker
}

// Kill ends one as kill -9 does.
func (m kafkaMachines) Kill(place int) { m.brokers[place].Kill() }

// Terminate ends one as SIGTERM does.
func (m kafkaMachines) Terminate(place int, limit time.Duration) error {
	return m.brokers[place].Terminate(limit)
}

// Start starts one that has ended.
func (m kafkaMachines) Start(place int) error { return m.brokers[place].Restart(m.ctx) }

// PID is the process id.
func (m kafkaMachines) PID(place int) int { return m.brokers[place].PID() }
