package node

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/vfs"
)

// World is what a node stands in: time, disk, network and chance. What is left empty is the machine's own. The simulation brings all four.
type World struct {
	Clock  clock.Clock
	Disk   vfs.FS
	Net    Network
	Random io.Reader
}

// Network opens sockets that look like TCP's: a listener's address is a *net.TCPAddr, and a dial that finds nobody listening fails with
// ECONNREFUSED.
type Network interface {
	Listen(network, address string) (net.Listener, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

type machineNetwork struct{ net.Dialer }

func (*machineNetwork) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

// world is what a node is built from.
type world struct {
	clock  clock.Clock
	disk   vfs.FS
	net    Network
	random io.Reader
	log    *slog.Logger
	level  *slog.LevelVar
	// levelName is klamm.log.level as level last took it over. Only publish looks at it.
	levelName string
}

func (w World) filled(log *slog.Logger, level *slog.LevelVar) world {
	out := world{clock: w.Clock, disk: w.Disk, net: w.Net, random: w.Random, log: log, level: level}
	if out.clock == nil {
		out.clock = clock.Real()
	}
	if out.disk == nil {
		out.disk = vfs.OS()
	}
	if out.net == nil {
		out.net = &machineNetwork{}
	}
	if out.random == nil {
		out.random = rand.Reader
	}
	return out
}
