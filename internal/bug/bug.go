package bug

// Defect is a bug that a process can be told to have.
type Defect string

// The defects. sim/bugs tells of each where it comes from.
const (
	// Replication.
	TruncateToHighWatermark Defect = "truncate-to-high-watermark"
	NeverTruncate           Defect = "never-truncate"
	AckBeforeISR            Defect = "ack-before-isr"
	FollowerReportsLogEnd   Defect = "follower-reports-log-end"
	LeaderCountsUnsynced    Defect = "leader-counts-unsynced"
	ExpansionNotCounted     Defect = "expansion-not-counted"
	ShrinkCountedEarly      Defect = "shrink-counted-early"
	CommitBelowMinISR       Defect = "commit-below-min-isr"
	JoinsBehindEpochStart   Defect = "joins-behind-epoch-start"
	StaleOffsetsServed      Defect = "stale-offsets-served"
	ReadPastHighWatermark   Defect = "read-past-high-watermark"

	// Controller.
	StalePartitionEpoch Defect = "stale-partition-epoch"
	BrokerEpochIgnored  Defect = "broker-epoch-ignored"
	RestartUnnoticed    Defect = "restart-unnoticed"
	RestartKeepsEpoch   Defect = "restart-keeps-epoch"
	StaleELR            Defect = "stale-elr"
	UncleanElection     Defect = "unclean-election"
	ElectionKeepsEpoch  Defect = "election-keeps-epoch"
	ReassignmentHasty   Defect = "reassignment-hasty"
	DecisionAckedEarly  Defect = "decision-acked-early"
	ProducerIDsTwice    Defect = "producer-ids-twice"
	TopicIDComesBack    Defect = "topic-id-comes-back"

	// Metadata quorum.
	RaftSkipsFsync Defect = "raft-skips-fsync"

	// Log.
	SkipFsync            Defect = "skip-fsync"
	FailedFsyncBelieved  Defect = "failed-fsync-believed"
	TornTailKept         Defect = "torn-tail-kept"
	ProducersNotRestored Defect = "producers-not-restored"
	ProducersNotRewound  Defect = "producers-not-rewound"
	DedupeWindowOfOne    Defect = "dedupe-window-of-one"
	SequenceUnchecked    Defect = "sequence-unchecked"

	// Groups.
	OffsetsAckedEarly    Defect = "offsets-acked-early"
	OldGenerationCommits Defect = "old-generation-commits"
	CoordinatorLoadsPart Defect = "coordinator-loads-part"
	GenerationReused     Defect = "generation-reused"
)
