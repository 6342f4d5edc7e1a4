package metadata

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// history makes random records that fit each other, the way a controller would.
type history struct {
	rng *rand.Rand
	img *Image
}

func (h *history) id() (id model.UUID) {
	for i := range id {
		id[i] = byte(h.rng.Uint32())
	}
	return id
}

func (h *history) ids(n int) []int32 {
	all := []int32{1, 2, 3, 4, 5}
	h.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}

func (h *history) someTopic() *Topic {
	topics := slices.Collect(h.img.Topics())
	if len(topics) == 0 {
		return nil
	}
	return topics[h.rng.IntN(len(topics))]
}

// batch is what one decision could have made.
func (h *history) batch() []Record {
	switch n := h.rng.IntN(20); {
	case n < 6:
		return h.create()
	case n < 12:
		return h.changePartition()
	case n < 14:
		if t := h.someTopic(); t != nil {
			return []Record{&RemoveTopic{TopicID: t.ID}}
		}
	case n < 17:
		return h.configure()
	case n < 18:
		return h.broker()
	case n < 19:
		return []Record{&ProducerIDs{NextProducerID: int64(h.img.producerID) + 1000}}
	}
	return []Record{&ActiveController{NodeID: int32(h.rng.IntN(3)), Epoch: h.img.controller.Epoch + 1}, &NoOp{}}
}

func (h *history) create() []Record {
	name := fmt.Sprintf("t.%d", h.rng.IntN(500))
	if h.img.Topic(name) != nil {
		return nil
	}
	id := h.id()
	records := []Record{&TopicRecord{Name: name, TopicID: id}}
	for p := range h.rng.IntN(4) + 1 {
		replicas := h.ids(3)
		records = append(records, &PartitionRecord{
			TopicID: id, PartitionID: int32(p), Replicas: replicas, ISR: replicas[:h.rng.IntN(3)+1], Leader: replicas[0], Dirs: []model.UUID{h.id(), {}, h.id()},
		})
	}
	return records
}

func (h *history) changePartition() []Record {
	t := h.someTopic()
	if t == nil {
		return nil
	}
	c := NewPartitionChange()
	c.TopicID, c.PartitionID = t.ID, int32(h.rng.IntN(len(t.Partitions)))
	replicas := IDs(t.Partitions[c.PartitionID].Replicas)
	switch h.rng.IntN(3) {
	case 0:
		c.ISR, c.ELR, c.Leader = []int32{replicas[1]}, []int32{replicas[0]}, replicas[1]
		c.LastKnownELR = []int32{replicas[2]}
	case 1:
		c.ISR, c.ELR, c.LastKnownELR, c.Leader = replicas, []int32{}, []int32{}, -1
	case 2:
		c.Adding, c.Removing = []int32{replicas[0]}, []int32{replicas[2]}
	}
	return []Record{&c}
}

func (h *history) configure() []Record {
	value := fmt.Sprint(h.rng.IntN(3))
	r := &ConfigRecord{ResourceType: int8(model.ResourceBroker), ResourceName: fmt.Sprint(h.rng.IntN(3)), Name: "k" + value, Value: &value}
	if t := h.someTopic(); t != nil && h.rng.IntN(2) == 0 {
		r.ResourceType, r.ResourceName = int8(model.ResourceTopic), t.Name
	}
	if h.rng.IntN(3) == 0 {
		r.Value = nil
	}
	return []Record{r}
}

func (h *history) broker() []Record {
	id := model.BrokerID(h.rng.IntN(4))
	rack := "r"
	b := h.img.Broker(id)
	switch {
	case b == nil:
		return []Record{&RegisterBroker{
			BrokerID: int32(id), IncarnationID: h.id(), BrokerEpoch: int64(h.img.Offset) + 1, Rack: &rack, Fenced: true, LogDirs: []model.UUID{h.id()},
			Endpoints: []RegisterBrokerEndpoint{{Name: "PLAINTEXT", Host: "h", Port: 9092, SecurityProtocol: 1}},
			Features:  []RegisterBrokerFeature{{Name: "f", MinSupportedLevel: 1, MaxSupportedLevel: 3}},
		}, &VoterRecord{NodeID: int32(id), DirectoryID: h.id(), Endpoints: []VoterEndpoint{{Name: "C", Host: "h", Port: 9093}}}}
	case h.rng.IntN(3) == 0:
		return []Record{&UnregisterBroker{BrokerID: int32(id), BrokerEpoch: int64(b.Epoch)}}
	}
	return []Record{&BrokerRegistrationChange{BrokerID: int32(id), BrokerEpoch: int64(b.Epoch), Fenced: int8(h.rng.IntN(3) - 1), LogDirs: []model.UUID{h.id()}}}
}

// state is an image as plain values, for comparing.
func state(img *Image) map[string]any {
	m := map[string]any{
		"offset": img.Offset, "cluster": img.ClusterID, "brokers": img.brokers, "voters": img.voters, "features": img.features,
		"controller": img.controller, "producers": img.producerID, "partitions": img.partitions,
		"topics": slices.Collect(img.Topics()), "configs": maps.Collect(img.configs.all()), "collisions": maps.Collect(img.collisions.all()),
	}
	byID := map[model.TopicID]string{}
	for id, t := range img.byID.all() {
		byID[id] = t.Name
	}
	m["byID"] = byID
	return m
}

func same(t *testing.T, what string, got, want *Image) {
	t.Helper()
	if got.Fingerprint() != want.Fingerprint() {
		t.Errorf("%s: another fingerprint", what)
	}
	g, w := state(got), state(want)
	for k := range w {
		if !reflect.DeepEqual(g[k], w[k]) && !(reflect.ValueOf(g[k]).Kind() == reflect.Slice && reflect.ValueOf(g[k]).Len()+reflect.ValueOf(w[k]).Len() == 0) {
			t.Fatalf("%s: %s differs:\n got %+v\nwant %+v", what, k, g[k], w[k])
		}
	}
}

// TestM4SnapshotAndReplayAreFullReplay: whatever way a log reaches a node, one by one, in runs, or as a snapshot and the rest, through
// bytes or not, the image is the same.
func TestM4SnapshotAndReplayAreFullReplay(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		h := &history{rng: rand.New(rand.NewPCG(seed, 2)), img: Empty("c")}
		t.Logf("seed %d", seed)
		boot, _, err := h.img.Apply(1, BootstrapRecords(&VoterRecord{NodeID: 1, DirectoryID: h.id()}))
		if err != nil {
			t.Fatal(err)
		}
		h.img = boot
		runs := NewReplay(boot)
		fromSnapshot := h.img
		cut := model.Offset(h.rng.IntN(300))
		for offset := model.Offset(2); offset < 300; offset++ {
			batch := h.batch()
			bytes := AppendBatch(nil, batch)
			decoded, err := DecodeBatch(bytes)
			if err != nil {
				t.Fatalf("offset %d: %v", offset, err)
			}
			next, delta, err := h.img.Apply(offset, batch)
			if err != nil {
				t.Fatalf("offset %d: %v", offset, err)
			}
			checkDelta(t, h.img, next, delta)
			if delta.Empty() && h.img.Fingerprint() != next.Fingerprint() && len(batch) > 0 && batch[0].RecordType() != wire.RecordTypeProducerIDs {
				t.Fatalf("offset %d: something changed and the delta is empty", offset)
			}
			h.img = next
			if err := runs.Add(offset, decoded); err != nil {
				t.Fatal(err)
			}
			if offset%17 == 0 {
				img, _ := runs.Done()
				runs = NewReplay(img)
			}
			if offset <= cut {
				fromSnapshot = throughSnapshot(t, next)
			} else if fromSnapshot, _, err = fromSnapshot.Apply(offset, decoded); err != nil {
				t.Fatal(err)
			}
		}
		inRuns, _ := runs.Done()
		same(t, "replay in runs", inRuns, h.img)
		same(t, "snapshot and replay", fromSnapshot, h.img)
		same(t, "snapshot", throughSnapshot(t, h.img), h.img)
	}
}

func throughSnapshot(t *testing.T, img *Image) *Image {
	t.Helper()
	r := NewReplay(Empty(img.ClusterID))
	for rec := range img.Records() {
		records, err := DecodeBatch(AppendBatch(nil, []Record{rec}))
		if err == nil {
			err = r.Add(img.Offset, records)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = r.Add(img.Offset, nil)
	out, _ := r.Done()
	return out
}

// checkDelta: what the delta does not name is the same object in both images.
func checkDelta(t *testing.T, old, next *Image, d *Delta) {
	t.Helper()
	named := map[model.TopicID]bool{}
	for _, c := range d.Topics {
		named[c.Topic().ID] = true
		if c.Old != nil && old.TopicByID(c.Old.ID) != c.Old || c.New != nil && next.TopicByID(c.New.ID) != c.New {
			t.Fatalf("delta names topics of other images")
		}
		if c.Old != nil && c.New != nil && len(c.Partitions) == 0 {
			t.Fatalf("topic %s changed without a partition", c.New.Name)
		}
	}
	for topic := range next.Topics() {
		if !named[topic.ID] && old.TopicByID(topic.ID) != topic {
			t.Fatalf("topic %s is another one without the delta saying so", topic.Name)
		}
	}
	for topic := range old.Topics() {
		if !named[topic.ID] && next.TopicByID(topic.ID) == nil {
			t.Fatalf("topic %s is gone without the delta saying so", topic.Name)
		}
	}
}

func TestReplayRefusesWhatDoesNotFit(t *testing.T) {
	id := model.UUID{1}
	with := func(records ...Record) *Image {
		img, _, err := Empty("c").Apply(1, records)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	topic := with(&TopicRecord{Name: "a", TopicID: id}, &PartitionRecord{TopicID: id, Replicas: []int32{1, 2}, ISR: []int32{1}, Leader: 1})
	badLeader := NewPartitionChange()
	badLeader.TopicID, badLeader.Leader = id, 2
	outsideISR := NewPartitionChange()
	outsideISR.TopicID, outsideISR.ISR = id, []int32{1, 9}
	inBoth := NewPartitionChange()
	inBoth.TopicID, inBoth.ELR = id, []int32{1}
	noPartition := NewPartitionChange()
	noPartition.TopicID, noPartition.PartitionID = id, 7
	for _, c := range []struct {
		name string
		img  *Image
		rec  Record
		want error
	}{
		{"topic twice", topic, &TopicRecord{Name: "a", TopicID: model.UUID{2}}, ErrReplay},
		{"topic id twice", topic, &TopicRecord{Name: "b", TopicID: id}, ErrReplay},
		{"topic without id", topic, &TopicRecord{Name: "b"}, ErrReplay},
		{"partition of nothing", topic, &PartitionRecord{TopicID: model.UUID{2}, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}, ErrReplay},
		{"partition with a gap", topic, &PartitionRecord{TopicID: id, PartitionID: 2, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}, ErrReplay},
		{"partition without replicas", topic, &PartitionRecord{TopicID: id, PartitionID: 1, Leader: -1}, ErrReplay},
		{"leader outside of the ISR", topic, &badLeader, ErrReplay},
		{"ISR outside of the replicas", topic, &outsideISR, ErrReplay},
		{"in ISR and ELR", topic, &inBoth, ErrReplay},
		{"change of no partition", topic, &noPartition, ErrReplay},
		{"removal of nothing", topic, &RemoveTopic{TopicID: model.UUID{3}}, ErrReplay},
		{"unregister nobody", topic, &UnregisterBroker{BrokerID: 1}, ErrReplay},
		{"old broker epoch", with(&RegisterBroker{BrokerID: 1, BrokerEpoch: 5}), &RegisterBroker{BrokerID: 1, BrokerEpoch: 5}, ErrReplay},
		{"stale change", with(&RegisterBroker{BrokerID: 1, BrokerEpoch: 5}), &BrokerRegistrationChange{BrokerID: 1, BrokerEpoch: 4, Fenced: 1}, ErrReplay},
		{"producer ids again", with(&ProducerIDs{NextProducerID: 2000}), &ProducerIDs{NextProducerID: 1000}, ErrReplay},
		{"unknown feature", topic, &FeatureLevel{Name: "new", Level: 1}, ErrFeature},
		{"newer level", topic, &FeatureLevel{Name: KlammVersion, Level: 99}, ErrFeature},
		{"voter that is none", topic, &RemoveVoter{NodeID: 1}, ErrReplay},
	} {
		if _, _, err := c.img.Apply(2, []Record{c.rec}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, _, err := topic.Apply(0, nil); !errors.Is(err, ErrReplay) {
		t.Errorf("an older offset was accepted: %v", err)
	}
}

func TestTopicDeletedAndCreatedAgainInOneRun(t *testing.T) {
	old, young := model.UUID{1}, model.UUID{2}
	part := func(id model.UUID) Record {
		return &PartitionRecord{TopicID: id, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}
	}
	img, _, err := Empty("c").Apply(1, []Record{&TopicRecord{Name: "a", TopicID: old}, part(old)})
	if err != nil {
		t.Fatal(err)
	}
	next, d, err := img.Apply(2, []Record{
		&RemoveTopic{TopicID: old}, &TopicRecord{Name: "a", TopicID: young}, part(young),
		&TopicRecord{Name: "brief", TopicID: model.UUID{3}}, &RemoveTopic{TopicID: model.UUID{3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Topics) != 2 || d.Topics[0].New != nil || d.Topics[0].Old.ID != old || d.Topics[1].Old != nil || d.Topics[1].New.ID != young {
		t.Fatalf("delta %+v", d.Topics)
	}
	if next.Topic("a").ID != young || next.TopicByID(old) != nil || next.PartitionCount() != 1 {
		t.Fatal("the old topic is still there")
	}
}

func TestLeaderEpochGrowsWithEveryNamedLeader(t *testing.T) {
	id := model.UUID{1}
	img, _, err := Empty("c").Apply(1, []Record{&TopicRecord{Name: "a", TopicID: id}, &PartitionRecord{TopicID: id, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}})
	if err != nil {
		t.Fatal(err)
	}
	again, quiet := NewPartitionChange(), NewPartitionChange()
	again.TopicID, again.Leader = id, 1
	quiet.TopicID, quiet.LastKnownELR = id, []int32{}
	img, _, err = img.Apply(2, []Record{&again, &quiet})
	if err != nil {
		t.Fatal(err)
	}
	if p := img.Topic("a").Partitions[0]; p.LeaderEpoch != 1 || p.PartitionEpoch != 2 {
		t.Fatalf("leader epoch %d, partition epoch %d", p.LeaderEpoch, p.PartitionEpoch)
	}
}

func TestTopicNames(t *testing.T) {
	img, _, err := Empty("c").Apply(1, []Record{&TopicRecord{Name: "a.b", TopicID: model.UUID{1}}, &TopicRecord{Name: "a.b.c", TopicID: model.UUID{2}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.b": "", "a_b": "a.b", "a.b_c": "a.b.c", "a-b": "", "ab": "", "a_b_d": ""} {
		if got := img.Colliding(name); got != want {
			t.Errorf("%s collides with %q, want %q", name, got, want)
		}
	}
	gone, _, err := img.Apply(2, []Record{&RemoveTopic{TopicID: model.UUID{1}}})
	if err != nil || gone.Colliding("a_b") != "" {
		t.Errorf("a deleted topic still collides (%v)", err)
	}
	for name, ok := range map[string]bool{"": false, ".": false, "..": false, "a b": false, "ü": false, "x": true, "A-_.9": true} {
		if err := ValidateTopicName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(AppendBatch(nil, BootstrapRecords(&VoterRecord{NodeID: 1})))
	f.Add(AppendBatch(nil, []Record{&PartitionRecord{Replicas: []int32{1}, ELR: []int32{2}}, &NoOp{}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := DecodeBatch(b)
		if err != nil {
			return
		}
		again, err := DecodeBatch(AppendBatch(nil, records))
		if err != nil || !reflect.DeepEqual(again, records) {
			t.Fatalf("%v: %+v came back as %+v", err, records, again)
		}
	})
}

func BenchmarkApplyOneTopicAmong10000(b *testing.B) {
	img := manyTopics(b, 10_000)
	c := NewPartitionChange()
	c.TopicID, c.Leader = img.Topic("t-5000").ID, 1
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if img, _, err = img.Apply(model.Offset(i+2), []Record{&c}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateTopicAmong10000(b *testing.B) {
	img := manyTopics(b, 10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := model.UUID{0: byte(i), 1: byte(i >> 8), 2: byte(i >> 16), 15: 1}
		if _, _, err := img.Apply(model.Offset(i+2), []Record{
			&TopicRecord{Name: "new", TopicID: id}, &PartitionRecord{TopicID: id, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1},
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTopicBytesAmong10000(b *testing.B) {
	img := manyTopics(b, 10_000)
	name := []byte("t-7777")
	b.ReportAllocs()
	for b.Loop() {
		if img.TopicBytes(name) == nil {
			b.Fatal("not found")
		}
	}
}

func manyTopics(tb testing.TB, n int) *Image {
	tb.Helper()
	r := NewReplay(Empty("c"))
	for i := range n {
		id := model.UUID{byte(i), byte(i >> 8), 1}
		if err := r.Add(1, []Record{
			&TopicRecord{Name: fmt.Sprintf("t-%d", i), TopicID: id}, &PartitionRecord{TopicID: id, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1},
		}); err != nil {
			tb.Fatal(err)
		}
	}
	img, _ := r.Done()
	return img
}
