package controller

import (
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// Registration is how a broker process introduces itself.
type Registration struct {
	ClusterID   string
	ID          model.BrokerID
	Incarnation model.UUID // drawn anew at every start of the process
	Endpoints   []metadata.Endpoint
	Features    []metadata.FeatureRange
	Rack        *string
	Dirs        []model.UUID // online data directories
	// DirsOffline says that there are others that do not work: what is in them may come back.
	DirsOffline bool
	// PreviousEpoch is the epoch this broker had when it last stopped cleanly, from its clean shutdown marker, or -1. Another one than
	// the cluster remembers says that it stopped uncleanly and may have lost what was not synced (KIP-966).
	PreviousEpoch model.BrokerEpoch
	// Fenced registers without taking part yet; a heartbeat asks for that when the broker has caught up. A broker whose logs are
	// open already, as in a cluster of one, registers ready to lead.
	Fenced bool
}

// Heartbeat is a broker's sign of life.
type Heartbeat struct {
	ID           model.BrokerID
	Epoch        model.BrokerEpoch
	WantFence    bool         // the broker does not want to lead
	WantShutdown bool         // the broker stops: move its leaders away first
	Offset       model.Offset // how far it has the metadata
	OfflineDirs  []model.UUID // data directories that failed since it registered (KIP-112)
}

// HeartbeatReply tells the broker where it stands.
type HeartbeatReply struct {
	Fenced     bool
	CaughtUp   bool // it has the metadata that was committed when it registered
	MayStopNow bool // after WantShutdown: it leads nothing any more that another could lead
}
