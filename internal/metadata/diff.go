package metadata

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

// Diff is what changed from one image to another of the same cluster, however they came about: a node that was given a snapshot has no
// records between the two. It costs as much as the images are large.
func Diff(from, to *Image) *Delta {
	d := &Delta{From: from.Offset, To: to.Offset}
	for t := range from.Topics() {
		if to.TopicByID(t.ID) == nil {
			d.Topics = append(d.Topics, TopicChange{Old: t})
		}
	}
	for t := range to.Topics() {
		if c, ok := diffTopic(from.TopicByID(t.ID), t); ok {
			d.Topics = append(d.Topics, c)
		}
	}
	slices.SortStableFunc(d.Topics, func(a, b TopicChange) int {
		return cmp.Or(strings.Compare(a.Topic().Name, b.Topic().Name), cmp.Compare(deletedFirst(&a), deletedFirst(&b)))
	})
	d.Brokers = diffBrokers(from, to)
	d.Configs = diffConfigs(from, to)
	d.Features = !slices.Equal(from.features, to.features)
	d.Voters = !slices.EqualFunc(from.voters, to.voters, func(a, b *Voter) bool { return reflect.DeepEqual(a, b) })
	d.Controller = from.controller != to.controller
	return d
}

// diffTopic compares two states of one topic; a partition that changed has another partition epoch.
func diffTopic(old, now *Topic) (TopicChange, bool) {
	c := TopicChange{Old: old, New: now}
	for i := range now.Partitions {
		if old == nil || i >= len(old.Partitions) || old.Partitions[i].PartitionEpoch != now.Partitions[i].PartitionEpoch ||
			!slices.Equal(old.Partitions[i].Dirs, now.Partitions[i].Dirs) {
			c.Partitions = append(c.Partitions, int32(i))
		}
	}
	return c, old == nil || len(c.Partitions) > 0
}

func diffBrokers(from, to *Image) []model.BrokerID {
	changed := map[model.BrokerID]bool{}
	for _, b := range from.brokers {
		if now := to.Broker(b.ID); now == nil || !reflect.DeepEqual(b, now) {
			changed[b.ID] = true
		}
	}
	for _, b := range to.brokers {
		if from.Broker(b.ID) == nil {
			changed[b.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

func diffConfigs(from, to *Image) []ConfigResource {
	changed := map[ConfigResource]bool{}
	for r, m := range from.configs.all() {
		if now, _ := to.configs.get(r); !maps.Equal(m, now) {
			changed[r] = true
		}
	}
	for r, m := range to.configs.all() {
		if old, _ := from.configs.get(r); !maps.Equal(m, old) {
			changed[r] = true
		}
	}
	return slices.SortedFunc(maps.Keys(changed), compareResources)
}
