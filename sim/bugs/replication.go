package bugs

import "github.com/klamm/klamm/internal/bug"

func replication() []Defect {
	return []Defect{
		{
			Name: bug.TruncateToHighWatermark, From: "Kafka before 0.11 (KIP-101)",
			Rule:  "R5: a new follower cuts its log at its own high watermark, and not where the leader says that the logs part",
			Seeds: 1, By: "R5",
		},
		{
			Name: bug.NeverTruncate, From: "Kafka, in corners of KIP-101 that KIP-279 and KIP-320 closed",
			Rule:  "R5: a follower fetches on behind a tail that its leader never had",
			Seeds: 5, By: "R5",
		},
		{
			Name: bug.AckBeforeISR, From: "every primary that answers before its copies have it: MongoDB w:1, Redis, acks=1",
			Rule:  "R1: acks=all is answered when the leader alone has the records",
			Seeds: 2, By: "inconsistent-offsets",
		},
		{
			Name: bug.FollowerReportsLogEnd, From: "Kafka, which answers from the page cache (KIP-966 tells what that costs)",
			Rule:  "R1: a follower counts with what is not on its disk yet",
			Seeds: 1, By: "R1",
		},
		{
			Name: bug.LeaderCountsUnsynced, From: "Kafka, as above; consensus leaders that count themselves before their own sync",
			Rule:  "R1: the high watermark passes what the leader has on its disk",
			Seeds: 3, By: "R1",
		},
		{
			Name: bug.ExpansionNotCounted, From: "Kafka before AlterPartition and the maximal ISR (KIP-497)",
			Rule:  "R1: a follower that the controller may have taken into the ISR already does not hold the high watermark back",
			Seeds: 50, By: "R1",
		},
		{
			Name: bug.ShrinkCountedEarly, From: "Kafka before AlterPartition and the maximal ISR (KIP-497)",
			Rule:  "R1: a follower that the leader wants out of the ISR is not waited for, before the controller has agreed",
			Seeds: 5, By: "R1",
		},
		{
			Name: bug.CommitBelowMinISR, From: "Kafka before KIP-966 (the last replica standing)",
			Rule:  "R2: the high watermark moves with fewer in sync than min.insync.replicas",
			Seeds: 5, By: "R2",
		},
		{
			Name: bug.JoinsBehindEpochStart, From: "Kafka (KAFKA-7128); rule 4 of the Kip320 model",
			Rule:  "R1: a follower joins the ISR by a high watermark that lags behind the true one",
			Seeds: 7, By: "R5",
		},
		{
			Name: bug.StaleOffsetsServed, From: "Kafka before KIP-207",
			Rule:  "L3: a new leader tells consumers an end that lies before what the old one told",
			Seeds: 9, By: "hw-regression",
		},
		{
			Name: bug.ReadPastHighWatermark, From: "Kafka (KAFKA-9835 lets a reader past the limit by a race)",
			Rule:  "L2: consumers are given what is not committed",
			Seeds: 1, By: "duplicate",
		},
	}
}
