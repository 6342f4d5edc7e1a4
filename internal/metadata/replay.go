package metadata

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

// ErrReplay says that a record does not fit what came before it. The log was written by something that is not a controller.
var ErrReplay = errors.New("metadata record does not fit the metadata before it")

// Replay builds the next image from an image and records. What it changes it copies first, once per Replay however many records
// touch it, so a long run of records (a snapshot, a restart) costs little more than their number.
type Replay struct {
	base *Image
	next Image
	edit *edit

	topics   map[model.TopicID]*topicEdit
	brokers  map[model.BrokerID]bool
	configs  map[ConfigResource]bool
	features bool
	voters   bool
	control  bool
}

// topicEdit is a topic that this Replay has touched.
type topicEdit struct {
	old     *Topic
	now     *Topic // nil when it was removed; ours alone once copied
	changed map[int32]bool
}

// NewReplay begins at img, which stays as it is.
func NewReplay(img *Image) *Replay {
	return &Replay{
		base: img, next: *img, edit: &edit{},
		topics: map[model.TopicID]*topicEdit{}, brokers: map[model.BrokerID]bool{}, configs: map[ConfigResource]bool{},
	}
}

// Apply is NewReplay, Add and Done in one, for one batch.
func (img *Image) Apply(offset model.Offset, records []Record) (*Image, *Delta, error) {
	r := NewReplay(img)
	if err := r.Add(offset, records); err != nil {
		return nil, nil, err
	}
	next, delta := r.Done()
	return next, delta, nil
}

// Add replays one batch, which stands at offset in the log. After an error the Replay must not be used: errors wrap ErrReplay or
// ErrFeature.
func (r *Replay) Add(offset model.Offset, records []Record) error {
	if offset < r.next.Offset {
		return fmt.Errorf("%w: batch at offset %d behind %d", ErrReplay, offset, r.next.Offset)
	}
	r.next.Offset = offset
	for _, rec := range records {
		if err := r.add(rec); err != nil {
			return fmt.Errorf("offset %d: %s: %w", offset, rec.RecordType(), err)
		}
	}
	return nil
}

func (r *Replay) add(rec Record) error {
	switch rec := rec.(type) {
	case *RegisterBroker:
		return r.registerBroker(rec)
	case *UnregisterBroker:
		return r.unregisterBroker(rec)
	case *BrokerRegistrationChange:
		return r.changeRegistration(rec)
	case *TopicRecord:
		return r.topic(rec)
	case *PartitionRecord:
		return r.partition(rec)
	case *PartitionChange:
		return r.changePartition(rec)
	case *RemoveTopic:
		return r.removeTopic(rec)
	case *ConfigRecord:
		r.config(rec)
		return nil
	case *FeatureLevel:
		return r.feature(rec)
	case *ProducerIDs:
		return r.producerIDs(rec)
	case *ActiveController:
		r.next.controller = Controller{ID: model.BrokerID(rec.NodeID), Epoch: rec.Epoch}
		r.next.nodeID = max(r.next.nodeID, model.BrokerID(rec.NextNodeID))
		r.control = true
		return nil
	case *VoterRecord:
		r.voter(rec)
		return nil
	case *RemoveVoter:
		return r.removeVoter(rec)
	case *NoOp:
		return nil
	}
	return fmt.Errorf("%w: no rule for it", ErrReplay)
}

// Voters are the members of the metadata quorum as far as the records go.
func (r *Replay) Voters() []*Voter { return r.next.Voters() }

// Done is the new image and what changed. The Replay is used up.
func (r *Replay) Done() (*Image, *Delta) {
	d := &Delta{From: r.base.Offset, To: r.next.Offset, Features: r.features, Voters: r.voters, Controller: r.control}
	for _, te := range r.topics {
		if c, ok := te.change(); ok {
			d.Topics = append(d.Topics, c)
		}
	}
	slices.SortFunc(d.Topics, func(a, b TopicChange) int {
		if c := strings.Compare(a.Topic().Name, b.Topic().Name); c != 0 {
			return c
		}
		return cmp.Compare(deletedFirst(&a), deletedFirst(&b))
	})
	d.Brokers = slices.Sorted(maps.Keys(r.brokers))
	d.Configs = slices.SortedFunc(maps.Keys(r.configs), compareResources)
	img := r.next
	r.edit = nil
	return &img, d
}

func deletedFirst(c *TopicChange) int {
	if c.New == nil {
		return 0
	}
	return 1
}

func (te *topicEdit) change() (TopicChange, bool) {
	if te.old == nil && te.now == nil || te.now != nil && te.old == te.now {
		return TopicChange{}, false
	}
	c := TopicChange{Old: te.old, New: te.now}
	if te.now != nil {
		c.Partitions = slices.Sorted(maps.Keys(te.changed))
	}
	return c, true
}

func (r *Replay) config(rec *ConfigRecord) {
	res := ConfigResource{model.ResourceType(rec.ResourceType), rec.ResourceName}
	old, _ := r.next.configs.get(res)
	// Configurations are small, and readers hold the old map: copy it.
	m := maps.Clone(old)
	if m == nil {
		m = map[string]string{}
	}
	if rec.Value == nil {
		delete(m, rec.Name)
	} else {
		m[rec.Name] = *rec.Value
	}
	if len(m) == 0 {
		r.next.configs.remove(r.edit, res)
	} else {
		r.next.configs.set(r.edit, res, m)
	}
	r.configs[res] = true
}

func (r *Replay) feature(rec *FeatureLevel) error {
	if err := checkFeature(rec.Name, rec.Level); err != nil {
		return err
	}
	levels := slices.Clone(r.next.features)
	i, ok := findLevel(levels, rec.Name)
	switch {
	case ok && rec.Level == 0:
		levels = slices.Delete(levels, i, i+1)
	case ok:
		levels[i].level = rec.Level
	case rec.Level != 0:
		levels = slices.Insert(levels, i, level{rec.Name, rec.Level})
	}
	r.next.features, r.features = levels, true
	return nil
}

func (r *Replay) producerIDs(rec *ProducerIDs) error {
	next := model.ProducerID(rec.NextProducerID)
	if next < r.next.producerID {
		return fmt.Errorf("%w: next producer id %d behind %d", ErrReplay, next, r.next.producerID)
	}
	r.next.producerID = next
	return nil
}

func (r *Replay) voter(rec *VoterRecord) {
	v := &Voter{NodeID: model.BrokerID(rec.NodeID), DirectoryID: rec.DirectoryID, Learner: rec.Learner, Held: rec.Held}
	for i := range rec.Endpoints {
		e := &rec.Endpoints[i]
		v.Endpoints = append(v.Endpoints, Endpoint{Name: e.Name, Host: e.Host, Port: e.Port})
	}
	voters := slices.Clone(r.next.voters)
	if i, ok := findVoter(voters, v.NodeID, v.DirectoryID); ok {
		voters[i] = v
	} else {
		voters = slices.Insert(voters, i, v)
	}
	r.next.voters, r.voters = voters, true
	r.taken(v.NodeID)
}

func (r *Replay) removeVoter(rec *RemoveVoter) error {
	i, ok := findVoter(r.next.voters, model.BrokerID(rec.NodeID), rec.DirectoryID)
	if !ok {
		return fmt.Errorf("%w: no voter %d with directory %s", ErrReplay, rec.NodeID, rec.DirectoryID)
	}
	r.next.voters, r.voters = slices.Delete(slices.Clone(r.next.voters), i, i+1), true
	return nil
}

func findVoter(voters []*Voter, id model.BrokerID, dir model.UUID) (int, bool) {
	want := Voter{NodeID: id, DirectoryID: dir}
	return slices.BinarySearchFunc(voters, &want, func(a, b *Voter) int {
		if c := cmp.Compare(a.NodeID, b.NodeID); c != 0 {
			return c
		}
		return compareIDs(a.DirectoryID, b.DirectoryID)
	})
}

// idsOf turns wire ids into broker ids, nil and empty alike into nil.
func idsOf(ids []int32) []model.BrokerID {
	if len(ids) == 0 {
		return nil
	}
	out := make([]model.BrokerID, len(ids))
	for i, id := range ids {
		out[i] = model.BrokerID(id)
	}
	return out
}
