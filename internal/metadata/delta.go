package metadata

import "github.com/klamm/klamm/internal/model"

// Delta is what changed from one image to the next. Reading it costs what changed, not what exists.
type Delta struct {
	From, To model.Offset
	// Topics that were created, changed or deleted, by name; a topic that was deleted and created again is there twice, the
	// deletion first. A topic that was created and deleted in between is not there.
	Topics []TopicChange
	// Brokers whose registration changed, came or went, ascending.
	Brokers []model.BrokerID
	// Configs are the resources whose dynamic configuration changed.
	Configs []ConfigResource
	// Features, Voters and Controller report a change of the finalized features, of the metadata quorum and of the active controller.
	Features, Voters, Controller bool
}

// TopicChange is one topic of a Delta.
type TopicChange struct {
	Old *Topic // nil when the topic was created
	New *Topic // nil when it was deleted
	// Partitions are the indexes that are new or changed, ascending. For a deleted topic it is empty: all of Old's are gone.
	Partitions []int32
}

// Topic is the newest state there is of the topic.
func (c *TopicChange) Topic() *Topic {
	if c.New != nil {
		return c.New
	}
	return c.Old
}

// Empty reports that nothing changed but the offset.
func (d *Delta) Empty() bool {
	return len(d.Topics) == 0 && len(d.Brokers) == 0 && len(d.Configs) == 0 && !d.Features && !d.Voters && !d.Controller
}
