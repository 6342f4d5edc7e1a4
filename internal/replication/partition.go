package replication

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// ISRProposer carries a leader's proposal to the controller. It returns at once, and goes on asking until there is an answer or a newer
// state of the partition: a change that was taken comes back through the metadata, one that was refused through Partition.ISRRefused.
type ISRProposer interface {
	ProposeISR(tp model.TopicIDPartition, c ISRChange)
}

// Config is the part of a topic's and the broker's configuration that this room obeys.
type Config struct {
	// Rules for client batches. TP and NowMs are filled in here.
	Rules batch.Rules
	// MinISR is min.insync.replicas.
	MinISR int
	// Durability is log.durability: what acks=all waits for.
	Durability commitlog.Durability
	// LagTime is replica.lag.time.max.ms; 0 means 30 s.
	LagTime time.Duration
}

// Options are what a Partition is made of.
type Options struct {
	TP      model.TopicPartition
	TopicID model.TopicID
	Me      model.BrokerID
	Log     *commitlog.Log
	Clock   clock.Clock
	Config  Config
	ISR     ISRProposer // may be nil while every partition has one replica
	Sending *Throttle   // of this node as a leader; may be nil
	// Lapsed reports that this node may have been replaced wherever it leads, without having heard of it. May be nil.
	Lapsed func() bool
}

// Partition is this node's replica of one partition.
type Partition struct {
	tp    model.TopicPartition
	id    model.TopicID
	clock clock.Clock
	isr   ISRProposer
	stats Stats
	me    model.BrokerID

	lapsed    func() bool
	sending   *Throttle
	throttled atomic.Pointer[Throttled]

	// current is the log; it is exchanged under mu when it moves to another directory. See log and onLog.
	current atomic.Pointer[commitlog.Log]

	rules atomic.Pointer[batch.Rules]
	// What readers need without a lock: who leads, how far they may read, and why nothing works any more.
	view   atomic.Pointer[view]
	hw     atomic.Int64
	failed atomic.Pointer[Error]

	mu struct {
		sync.Mutex
		state
		acks ackQueue
		data dataList
		// syncs are followers' waits for the disk.
		syncs []ackWait
		// handover is closed when this node becomes the leader; nil while nobody waits for that. resigned is when it last ceased to lead.
		handover chan struct{}
		resigned time.Time
	}
}

// view is the part of state that changes with the leader or the ISR.
type view struct {
	role       role
	leader     model.BrokerID
	epoch      model.LeaderEpoch
	epochStart model.Offset
	isr        []model.BrokerID
	replicas   []model.BrokerID
	minISR     int

	partitionEpoch model.PartitionEpoch
}

func (v *view) inSync(id model.BrokerID) bool { return slices.Contains(v.isr, id) }

// Stats count what passed through a partition. All fields may be read at any time.
type Stats struct {
	BatchesIn, RecordsIn, BytesIn  atomic.Int64
	BytesOut                       atomic.Int64
	ProduceRequests, FetchRequests atomic.Int64
	FailedProduces, FailedFetches  atomic.Int64
}

// New makes the replica that keeps its records in o.Log. It serves nothing before BecomeLeader or BecomeFollower.
func New(o Options) *Partition {
	p := &Partition{tp: o.TP, id: o.TopicID, clock: o.Clock, isr: o.ISR, me: o.Me, lapsed: o.Lapsed, sending: o.Sending}
	if p.lapsed == nil {
		p.lapsed = func() bool { return false }
	}
	p.current.Store(o.Log)
	p.mu.state = state{me: o.Me, leader: model.NoBroker, epoch: model.NoLeaderEpoch, partitionEpoch: -1}
	p.mu.hw = o.Log.HighWatermark()
	p.mu.logMoved(o.Log.Start(), o.Log.End(), o.Log.DurableEnd())
	p.hw.Store(int64(p.mu.hw))
	p.publishLocked()
	p.SetConfig(o.Config)
	return p
}

// TP names the partition by its topic's name.
func (p *Partition) TP() model.TopicPartition { return p.tp }

// ID is the id of the partition's topic.
func (p *Partition) ID() model.TopicID { return p.id }

// Stats are the partition's counters.
func (p *Partition) Stats() *Stats { return &p.stats }

// SetConfig changes what the partition obeys. Appends already waiting are judged by the new rules.
func (p *Partition) SetConfig(c Config) {
	rules := c.Rules
	rules.TP = p.tp
	p.rules.Store(&rules)
	p.mu.Lock()
	p.mu.minISR, p.mu.durability, p.mu.lagTime = c.MinISR, c.Durability, c.LagTime
	if p.mu.lagTime <= 0 {
		p.mu.lagTime = defaultLagTime
	}
	p.publishLocked()
	moved := p.mu.advance(p.clock.Now())
	p.unlockAndWake(moved)
}

const defaultLagTime = 30 * time.Second

// BecomeLeader makes this node the partition's leader, or tells the leader about a new ISR or new replicas.
func (p *Partition) BecomeLeader(m *metadata.Partition) {
	p.mu.Lock()
	p.refreshLocked()
	hw := p.mu.hw
	// The log learns of the epoch by its first record. Kafka writes it down at once, which at every start of a node is a file to write for
	// every partition; see endOffsetForEpoch for what that would be needed for.
	p.mu.becomeLeader(m, p.clock.Now())
	p.publishLocked()
	p.endHandoverLocked()
	commit := p.mu.wantsSync() && p.mu.durable < p.mu.end // it followed until now, and its last records are not synced yet
	p.unlockAndWake(p.mu.hw > hw)
	if commit {
		p.log().Commit()
	}
}

// BecomeFollower makes this node a follower of the partition's leader. Requests that wait for it as a leader are sent elsewhere.
func (p *Partition) BecomeFollower(m *metadata.Partition) {
	p.mu.Lock()
	p.refreshLocked()
	led := p.mu.role == roleLeader
	changed := p.mu.becomeFollower(m)
	if led && changed {
		p.mu.resigned = p.clock.Now()
	}
	p.publishLocked()
	if !changed {
		p.mu.Unlock()
		return
	}
	if bug.Is(bug.TruncateToHighWatermark) { // R5, KIP-101: by epoch, when the leader says where
		_ = p.log().TruncateTo(p.mu.hw)
	}
	p.unlockAndFail(&Error{p.tp, ErrNotLeader})
}

// Fail ends the partition's service: ErrOffline when its log failed, ErrDeleted when it goes away. Whoever waits is told.
func (p *Partition) Fail(cause error) {
	e := &Error{p.tp, cause}
	p.failed.Store(e)
	p.mu.Lock()
	p.mu.role = roleNone
	p.publishLocked()
	p.endHandoverLocked()
	p.unlockAndFail(e)
}

// OnDurable tells that the log is durable up to end: the hook for commitlog.LogOptions.
func (p *Partition) OnDurable(end model.Offset) {
	p.mu.Lock()
	// The news may be old: the log may have been cut, and have grown again, since. What it says itself now is true.
	end = min(end, p.log().DurableEnd())
	moved := p.mu.synced(end, p.clock.Now())
	syncs := p.takeSyncsLocked(end)
	p.unlockAndWake(moved)
	for _, a := range syncs {
		a.waiter.Wake(a.slot, nil)
	}
}

// ISRRefused tells that the controller refused the ISR proposed at this partition epoch.
func (p *Partition) ISRRefused(at model.PartitionEpoch) {
	p.mu.Lock()
	moved := at == p.mu.partitionEpoch && p.mu.isrRefused(p.clock.Now())
	p.unlockAndWake(moved)
}

// Tick proposes to shrink the ISR by followers that fell behind. To be called every half of replica.lag.time.max.ms or so.
func (p *Partition) Tick() {
	p.mu.Lock()
	c := p.mu.tick(p.clock.Now())
	p.mu.Unlock()
	p.proposeISR(c)
}

func (p *Partition) proposeISR(c *ISRChange) {
	if c != nil && p.isr != nil {
		p.isr.ProposeISR(model.TopicIDPartition{ID: p.id, Partition: p.tp.Partition}, *c)
	}
}

// Commit asks for everything appended so far to be made durable; see Append.CommitLater.
func (p *Partition) Commit() { p.log().Commit() }

// BurstEnd is Commit under the name that a server's connection calls it by.
func (p *Partition) BurstEnd() { p.log().Commit() }

// HighWatermark is the offset below which everything is committed.
func (p *Partition) HighWatermark() model.Offset { return model.Offset(p.hw.Load()) }

// LogStart is the offset of the first record.
func (p *Partition) LogStart() model.Offset { return p.log().Start() }

// LogEnd is the offset behind the last record.
func (p *Partition) LogEnd() model.Offset { return p.log().End() }

// Size is the log's size in bytes.
func (p *Partition) Size() int64 { return p.log().Size() }

// Info is what this node knows of the partition at one moment.
type Info struct {
	IsLeader       bool
	Leader         model.BrokerID
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch model.PartitionEpoch
	Replicas       []model.BrokerID // not to be modified
	ISR            []model.BrokerID // not to be modified
	MinISR         int
	Offline        bool
}

// Info is for metrics and for describing the partition.
func (p *Partition) Info() Info {
	v := p.view.Load()
	return Info{
		IsLeader: v.role == roleLeader, Leader: v.leader, LeaderEpoch: v.epoch, PartitionEpoch: v.partitionEpoch, Replicas: v.replicas, ISR: v.isr,
		MinISR: v.minISR, Offline: p.failed.Load() != nil,
	}
}

// refreshLocked takes over what the log did since: recovery, retention.
func (p *Partition) refreshLocked() {
	p.mu.logMoved(p.log().Start(), p.log().End(), p.log().DurableEnd())
}

// publishLocked makes the state visible to readers.
func (p *Partition) publishLocked() {
	s := &p.mu.state
	p.view.Store(&view{role: s.role, leader: s.leader, epoch: s.epoch, epochStart: s.epochStart, isr: s.isr, replicas: s.replicas,
		minISR: s.effectiveMinISR(), partitionEpoch: s.partitionEpoch})
}

// unlockAndWake publishes the high watermark, releases the lock and wakes whoever has waited for this. grown says that there may be more to
// read than before.
func (p *Partition) unlockAndWake(grown bool) {
	if hw := p.mu.hw; model.Offset(p.hw.Load()) != hw {
		p.hw.Store(int64(hw))
		p.log().SetHighWatermark(hw)
	}
	for {
		var acks [wakeBatch]ackWait
		var data [wakeBatch]dataWait
		na, nd := 0, 0
		if p.mu.acks.n > 0 {
			na = p.mu.acks.popUpTo(p.mu.acknowledged(), acks[:])
		}
		if grown && p.mu.data.n > 0 {
			nd = p.mu.data.take(p.limitLocked, data[:])
		}
		var late error
		if na > 0 && !p.mu.enoughReplicas() {
			late = &Error{p.tp, ErrNotEnoughReplicasAfterAppend}
		}
		p.mu.Unlock()
		for i := range na {
			acks[i].waiter.Wake(acks[i].slot, late)
		}
		for i := range nd {
			data[i].waiter.Wake(data[i].slot, nil)
		}
		if na < wakeBatch && nd < wakeBatch {
			return
		}
		p.mu.Lock()
	}
}

// unlockAndFail releases the lock and sends everyone who waits away.
func (p *Partition) unlockAndFail(err error) {
	acks := make([]ackWait, p.mu.acks.n)
	p.mu.acks.popUpTo(endOfTime, acks)
	acks = append(acks, p.takeSyncsLocked(endOfTime)...)
	var data []dataWait
	for i := range p.mu.data.waits {
		if w := p.mu.data.waits[i]; w.waiter != nil {
			data = append(data, w)
			p.mu.data.drop(int32(i))
		}
	}
	p.mu.Unlock()
	for _, w := range acks {
		w.waiter.Wake(w.slot, err)
	}
	for _, w := range data {
		w.waiter.Wake(w.slot, err)
	}
}

const endOfTime model.Offset = 1<<63 - 1
