package bugs

import "github.com/klamm/klamm/internal/bug"

func controller() []Defect {
	return []Defect{
		{
			Name: bug.StalePartitionEpoch, From: "a compare-and-set without the compare: what KIP-497's partition epoch is for",
			Rule:  "R1: a change of the ISR is taken although its leader decided on an older one",
			Seeds: 18, By: "invariant violated (somebody entered the ISR whom its leader had not asked for)",
		},
		{
			Name: bug.BrokerEpochIgnored, From: "Kafka before KIP-841 and KIP-903",
			// Where followers claim only what is on their disk they still have it after a restart: it takes a topic in the page cache to do harm.
			Rule:  "R6: a follower that restarted since the leader saw it enters the ISR as the process that it was",
			Seeds: 101, By: "R1",
		},
		{
			Name: bug.RestartUnnoticed, From: "Kafka before KIP-903 and KIP-966",
			Rule:  "R6: a restarted broker keeps its places in the ISR and in leadership",
			Seeds: 2, By: "unseen",
		},
		{
			Name: bug.RestartKeepsEpoch, From: "Kafka, where a leader that is back before its session ends leads on (KIP-101, KIP-966)",
			// In two places: a controller that gives no new epoch, alone, has a node that keeps to its registration stand still.
			Rule:  "R4, R5: a leader goes on in the epoch of the process before it, whose tail it may have lost and whose requests it does not know",
			Seeds: 1, By: "invariant violated (somebody entered the ISR whom its leader had not asked for)",
		},
		{
			Name: bug.StaleELR, From: "what KIP-966 warns of",
			Rule:  "R1: who is in the ELR stays there while more is committed without it",
			Seeds: 3, By: "R1",
		},
		{
			Name: bug.UncleanElection, From: "Kafka before 0.11, whose default was unclean.leader.election.enable=true",
			Rule:  "R1: when the ISR is gone anybody leads, without an order",
			Seeds: 11, By: "R5",
		},
		{
			Name: bug.ElectionKeepsEpoch, From: "primaries without terms: Kafka before leader epochs (KIP-101), mirrored queues",
			Rule:  "R4: another leader in the same epoch",
			Seeds: 1, By: "R4",
		},
		{
			Name: bug.ReassignmentHasty, From: "moving by hand, replacing before copying; what KIP-455 orders",
			Rule:  "R7: old replicas go before the new ones have caught up",
			Seeds: 7, By: "R7",
		},
		{
			Name: bug.DecisionAckedEarly, From: "controllers that answer from memory",
			Rule:  "M1: an administrator is told of success before the metadata log has it",
			Seeds: 19, By: "admin-lost",
		},
		{
			Name: bug.ProducerIDsTwice, From: "a block of ids used before it is written down: what KIP-730 orders",
			Rule:  "P3: two brokers give out the same producer ids",
			Seeds: 10, By: "inconsistent-offsets",
		},
		{
			Name: bug.TopicIDComesBack, From: "Kafka before topic ids (KIP-516)",
			Rule:  "M5: a topic that is made anew is taken for the one of that name that was deleted",
			Seeds: 3, By: "M5",
		},
	}
}

func quorum() []Defect {
	return []Defect{
		{
			Name: bug.RaftSkipsFsync, From: "NATS JetStream, whose default leaves the sync to a timer; etcd with --unsafe-no-fsync",
			Rule:  "M2: votes and acknowledgements that a power cut undoes",
			Seeds: 2, By: "M2",
		},
	}
}
