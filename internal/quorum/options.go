package quorum

import (
	"errors"
	"log/slog"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Errors of this room.
var (
	// ErrNotLeader: this node does not lead the metadata log, or stopped leading it before the batch was committed. Whether the batch
	// will be committed after all is not known.
	ErrNotLeader = errors.New("this node does not lead the metadata log")
	// ErrClosed: the quorum was closed.
	ErrClosed = errors.New("metadata log is closed")
	// ErrChanging: another change of the membership is under way. Nothing was appended; try again soon.
	ErrChanging = errors.New("another change of the metadata quorum is under way")
	// ErrNoSpace: the disk is full, and so is what was held in reserve. Nothing was appended; it works again when there is room.
	ErrNoSpace = errors.New("no space left for the metadata log")
	// ErrFailed: writing or syncing the log failed. Nothing more is acknowledged until a restart has read back what the disk holds.
	ErrFailed = errors.New("metadata log failed")
	// ErrWrongDirectory: the directory holds the log of another cluster, node or voter.
	ErrWrongDirectory = errors.New("metadata directory belongs to another node or cluster")
	// ErrCorrupt: the log or its snapshot is damaged in a place that was durable. Guessing would forget what was acknowledged.
	ErrCorrupt = errors.New("metadata log is damaged")
)

// Identity says whose log it is. A voter is its node and directory together (KIP-853): after a wipe the directory has a new id, and so
// the node cannot vote as the one that forgot.
type Identity struct {
	ClusterID   string
	NodeID      model.BrokerID
	DirectoryID model.UUID
}

// Options is what node plugs in.
type Options struct {
	FS       vfs.FS
	Clock    clock.Clock
	Logger   *slog.Logger
	Dir      string // holds nothing but the metadata log; created when missing
	Identity Identity
	// Founders are the first voters of a new cluster; empty stands for this node alone. Every founder writes the same down on its own.
	Founders []Member
	// Join waits, in an empty directory, for the leader of an existing cluster to send what there is, instead of forming a new one.
	Join bool

	// Send takes messages for another member. It must not block, and may lose them. May be nil while this node is the only member.
	Send func(to model.BrokerID, msgs [][]byte)

	// Publish is called with every new image and what changed since the one before; the first delta starts at the empty image. Calls
	// follow each other on one goroutine, never two at a time. Proposals are answered after it has returned, so everything a client is told
	// about is in place. It may take its time, but then later images wait, and several changes come in one delta.
	Publish func(*metadata.Image, *metadata.Delta)
	// Failed is called once when the log fails for good (ErrFailed, metadata.ErrFeature): the node should stop. May be nil.
	Failed func(error)

	// MustExist refuses to form a new cluster in an empty directory. A node that already holds partitions sets it: without their metadata
	// they would all look deleted.
	MustExist bool

	// SnapshotBytes is how long the log may get before a snapshot is taken, unless the last snapshot is more than half as large; 0 means 4
	// MiB, which replays in less than a tenth of a second at start.
	SnapshotBytes int64
	ReserveBytes  int64         // disk space kept for a full disk; 0 means 4 MiB, < 0 none
	ElectionTick  time.Duration // 0 means 100 ms; an election begins after 10 to 20 ticks of silence
}

const (
	defaultSnapshotBytes = 4 << 20
	defaultReserveBytes  = 4 << 20
	defaultTick          = 100 * time.Millisecond
	electionTicks        = 10
)

func (o Options) withDefaults() Options {
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = defaultSnapshotBytes
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = defaultReserveBytes
	}
	if o.ElectionTick == 0 {
		o.ElectionTick = defaultTick
	}
	if o.Send == nil {
		o.Send = func(model.BrokerID, [][]byte) {}
	}
	if len(o.Founders) == 0 {
		o.Founders = []Member{{NodeID: o.Identity.NodeID, DirectoryID: o.Identity.DirectoryID}}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return o
}

// Status describes the quorum, for DescribeQuorum and metrics.
type Status struct {
	Leader   model.BrokerID // NoBroker when there is none
	Term     int32
	Commit   model.Offset // the high watermark: the offset behind the last committed batch
	End      model.Offset // behind the last entry of this node's log
	Voters   []Replica
	Learners []Replica
}

// Replica is one member of the quorum.
type Replica struct {
	NodeID      model.BrokerID
	DirectoryID model.UUID
	Endpoints   []metadata.Endpoint
	Held        bool         // a learner that shall stay one
	End         model.Offset // behind the last entry it is known to have
	LastFetch   time.Time    // zero when not known
	LastCaught  time.Time
}
