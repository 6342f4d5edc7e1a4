package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/server"
)

// Partitions finds the replicas this node holds.
type Partitions interface {
	// Get is nil when the node holds no replica of the partition (yet, or any more).
	Get(tp model.TopicIDPartition) *replication.Partition
	// Dirs describes the node's data directories and the logs in them.
	Dirs() []LogDir
	// MoveReplica begins to move the node's replica of a partition to the data directory with this path, or, before it has one, says where it is to
	// begin (KIP-113).
	MoveReplica(tp model.TopicPartition, path string) model.ErrorCode
}

// LogDir is what DescribeLogDirs shows of one data directory.
type LogDir struct {
	Path        string
	Offline     bool
	Cordoned    bool // it gets no new replicas (KIP-1066)
	Total, Free uint64
	Logs        []LogSize
}

// LogSize is one log of a LogDir; Size in bytes. Lag is how many offsets it is behind: a Future one behind the log that it will take the place of.
type LogSize struct {
	TP     model.TopicPartition
	ID     model.TopicID
	Size   int64
	Lag    int64
	Future bool
}

// Options is what node plugs in.
type Options struct {
	Me         model.BrokerID
	Image      func() *metadata.Image
	Controller *controller.Controller
	// Remote reaches the active controller on another node; nil on a node that is alone.
	Remote     Remote
	Quorum     *quorum.Quorum
	Groups     *group.Service
	Partitions Partitions
	// Resolver gives effective topic, broker and group configuration.
	Resolver *config.Resolver
	// Advertised is the address under which clients of this connection's listener reach a broker; ok is false when they cannot.
	Advertised func(c *server.Conn, broker model.BrokerID) (host string, port int32, ok bool)
	// ProducerIDs hands out ids that the metadata log has set aside for this node (KIP-730).
	ProducerIDs func(context.Context) (model.ProducerID, error)
	Clock       clock.Clock
	Logger      *slog.Logger
	// LogLevel is what clients change by AlterConfigs of a broker logger (KIP-412); nil when it cannot be changed.
	LogLevel *slog.LevelVar
	// Metrics counts; nil for none.
	Metrics *Metrics
	Limits  Limits
	// NodePort says that this handler serves other nodes: it takes fetches of followers, and nothing else. See NewNodePort.
	NodePort bool
}

// Limits are the broker's settings that this room obeys. A zero field takes Kafka's default.
type Limits struct {
	// NoAutoCreate is the opposite of auto.create.topics.enable.
	NoAutoCreate bool
	// FetchMaxBytes bounds one Fetch answer (fetch.max.bytes), FetchSessions the remembered fetches
	// (max.incremental.fetch.session.cache.slots).
	FetchMaxBytes, FetchSessions int
	// NearReplicas sends consumers to replicas in their rack (replica.selector.class).
	NearReplicas bool
	// FetchMaxWait bounds how long a Fetch is held, whatever the client allows: an answer that waits longer than a connection may
	// be idle helps nobody. 0 means 10 minutes.
	FetchMaxWait time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.FetchMaxBytes <= 0 {
		l.FetchMaxBytes = 55 << 20
	}
	if l.FetchSessions == 0 {
		l.FetchSessions = 1000
	}
	if l.FetchMaxWait <= 0 {
		l.FetchMaxWait = 10 * time.Minute
	}
	return l
}
