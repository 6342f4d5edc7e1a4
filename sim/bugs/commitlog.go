package bugs

import "github.com/klamm/klamm/internal/bug"

func commitlog() []Defect {
	return []Defect{
		{
			Name: bug.SkipFsync, From: "every system with a forgotten or lying fsync",
			Rule:  "S2, R1: what is called durable is in the page cache",
			Seeds: 3, By: "R5",
		},
		{
			Name: bug.FailedFsyncBelieved, From: "PostgreSQL, LMDB, LevelDB, SQLite, Redis (USENIX ATC 2020)",
			Rule:  "S5: a sync that failed is taken for one that succeeded",
			Seeds: 1, By: "S5",
		},
		{
			Name: bug.TornTailKept, From: "logs that do not check what they find after a crash",
			Rule:  "S2, L7: a tail whose checksum is wrong is kept",
			Seeds: 27, By: "L7",
		},
		{
			Name: bug.ProducersNotRestored, From: "Kafka, Redpanda: producer state lost with a snapshot (KAFKA-5435, KAFKA-7190)",
			Rule:  "P1: what idempotent producers wrote is forgotten at a restart",
			Seeds: 14, By: "duplicate",
		},
		{
			Name: bug.ProducersNotRewound, From: "Kafka: producer state that is ahead of its log (KAFKA-6683)",
			Rule:  "P1: what was cut off counts as written, and its retry is acknowledged as a duplicate",
			Seeds: 6, By: "inconsistent-offsets",
		},
		{
			Name: bug.DedupeWindowOfOne, From: "Kafka before KAFKA-5494, Redpanda (#3038)",
			Rule:  "P1: of the five batches that a client may have in flight only the last is known again",
			Seeds: 1, By: "sequence-refused",
		},
		{
			Name: bug.SequenceUnchecked, From: "KIP-98 without its sequence numbers",
			Rule:  "L5, P1: a batch is taken although one before it is missing",
			Seeds: 5, By: "aborted-read",
		},
	}
}

func groups() []Defect {
	return []Defect{
		{
			Name: bug.OffsetsAckedEarly, From: "Kafka (KAFKA-20634): commits acknowledged that a change of the coordinator drops",
			Rule:  "G1: a committed offset is acknowledged before it is committed",
			Seeds: 2, By: "commit-regression",
		},
		{
			Name: bug.OldGenerationCommits, From: "consumers before generations fenced them",
			Rule:  "G2: a member that was thrown out commits",
			Seeds: 1, By: "stale-commit",
		},
		{
			Name: bug.CoordinatorLoadsPart, From: "Kafka: offsets not loaded at a failover (its pull request 2436)",
			Rule:  "G1: a new coordinator does not read its log to the end",
			Seeds: 30, By: "double-ownership",
		},
		{
			Name: bug.GenerationReused, From: "a rebalance that keeps its number",
			Rule:  "G3: one generation with two assignments",
			Seeds: 5, By: "double-ownership",
		},
	}
}
