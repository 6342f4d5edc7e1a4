package metadata

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

// TestDiffNamesWhatIsDifferent: a node that is given a snapshot must end with what one has that replayed every record.
func TestDiffNamesWhatIsDifferent(t *testing.T) {
	for range 50 {
		seed := rand.Uint64()
		h := &history{rng: rand.New(rand.NewPCG(seed, 1)), img: Empty("c")}
		step := func(n int) {
			for range n {
				next, _, err := h.img.Apply(h.img.Offset+1, h.batch())
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				h.img = next
			}
		}
		step(60)
		from := h.img
		step(60)
		to := h.img
		d := Diff(from, to)
		topics := map[model.TopicID]*Topic{}
		for topic := range from.Topics() {
			topics[topic.ID] = topic
		}
		for i := range d.Topics {
			c := &d.Topics[i]
			if c.Old != from.TopicByID(c.Topic().ID) || c.New != to.TopicByID(c.Topic().ID) {
				t.Fatalf("seed %d: change of %s is between other images", seed, c.Topic().Name)
			}
			delete(topics, c.Topic().ID)
			if c.New != nil {
				topics[c.New.ID] = c.New
			}
			for p := range c.Topic().Partitions {
				if c.Old != nil && c.New != nil && p < len(c.Old.Partitions) && !slices.Contains(c.Partitions, int32(p)) && !reflect.DeepEqual(c.Old.Partitions[p], c.New.Partitions[p]) {
					t.Fatalf("seed %d: partition %d of %s changed unnamed", seed, p, c.New.Name)
				}
			}
		}
		for topic := range to.Topics() {
			if topics[topic.ID] == nil || !reflect.DeepEqual(topics[topic.ID].Partitions, topic.Partitions) {
				t.Fatalf("seed %d: topic %s is not as in the image", seed, topic.Name)
			}
			delete(topics, topic.ID)
		}
		if len(topics) > 0 {
			t.Fatalf("seed %d: %d topics are left over", seed, len(topics))
		}
		if again := Diff(to, to); !again.Empty() {
			t.Fatalf("seed %d: an image differs from itself: %+v", seed, again)
		}
	}
}
