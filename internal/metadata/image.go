package metadata

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/klamm/klamm/internal/model"
)

// Image is the cluster as the metadata log describes it up to Offset. It never changes: Replay makes the next one, which shares
// with it everything that stayed the same.
type Image struct {
	// ClusterID is the cluster's name for itself, drawn when it was formed.
	ClusterID string
	// Offset is the position in the metadata log of the last batch of records in this image; 0 is the empty image.
	Offset model.Offset

	topics  tree[string, *Topic]
	byID    tree[model.TopicID, *Topic]
	configs tree[ConfigResource, map[string]string]
	// collisions finds the one topic of a CollisionKey; only names that could collide are in it.
	collisions tree[string, string]

	brokers    []*Broker // by id
	voters     []*Voter  // by node id, then directory id
	features   []level   // by name
	controller Controller
	producerID model.ProducerID // the next one that nobody has
	nodeID     model.BrokerID   // above every one that a node has had, or 0 while there was none
	partitions int              // of all topics together
}

// Topic is one life of a topic. It never changes; an image with another partition state has another Topic.
type Topic struct {
	Name string
	ID   model.TopicID
	// Partitions by index, without gaps.
	Partitions []Partition
}

// Partition is the state of one partition. Its slices are shared between images, and with each other where they are equal.
//
// Invariant: Leader is NoBroker or in ISR; ISR, ELR are disjoint and within Replicas; Adding is within Replicas, Removing is too;
// LeaderEpoch and PartitionEpoch never go down.
type Partition struct {
	Leader         model.BrokerID
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch model.PartitionEpoch
	Replicas       []model.BrokerID // in order of preference
	ISR            []model.BrokerID
	ELR            []model.BrokerID // out of the ISR, but known to have every committed record (KIP-966)
	LastKnownELR   []model.BrokerID // the last leader and those that left the ELR by an unclean shutdown
	Adding         []model.BrokerID // of a reassignment under way (KIP-455)
	Removing       []model.BrokerID
	Dirs           []model.UUID // data directory of each replica; zero is "not known yet" (KIP-858)
}

// Reassigning reports that the partition's replicas are on the move.
func (p *Partition) Reassigning() bool { return len(p.Adding) > 0 || len(p.Removing) > 0 }

// PreferredLeader is the first replica.
func (p *Partition) PreferredLeader() model.BrokerID {
	if len(p.Replicas) == 0 {
		return model.NoBroker
	}
	return p.Replicas[0]
}

// Broker is a registered broker.
type Broker struct {
	ID          model.BrokerID
	Epoch       model.BrokerEpoch
	Incarnation model.UUID // of the process
	Endpoints   []Endpoint
	Features    []FeatureRange // what its software can run at
	Rack        *string
	Dirs        []model.UUID // online data directories
	// Fenced brokers lead nothing, enter no ISR and get no new replicas: they are starting, gone, or silent for too long.
	Fenced               bool
	InControlledShutdown bool
}

// Endpoint is a place where a broker or voter listens.
type Endpoint struct {
	Name             string
	Host             string
	Port             uint16
	SecurityProtocol int16 // Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// Voter is a member of the metadata quorum (KIP-853): node and directory together are its identity.
type Voter struct {
	NodeID      model.BrokerID
	DirectoryID model.UUID
	Learner     bool // follows, but has no vote
	Held        bool // an administrator took its vote away: only one gives it back
	Endpoints   []Endpoint
}

// Controller is the node that decides, and the consensus term it was elected in.
type Controller struct {
	ID    model.BrokerID
	Epoch int32
}

// ConfigResource names what a dynamic configuration belongs to. An empty name of type broker is the default of all brokers.
type ConfigResource struct {
	Type model.ResourceType
	Name string
}

// Empty is the image of a cluster whose metadata log holds nothing yet.
func Empty(clusterID string) *Image {
	return &Image{
		ClusterID:  clusterID,
		topics:     newTree[string, *Topic](strings.Compare),
		byID:       newTree[model.TopicID, *Topic](compareIDs),
		configs:    newTree[ConfigResource, map[string]string](compareResources),
		collisions: newTree[string, string](strings.Compare),
		controller: Controller{ID: model.NoBroker},
	}
}

func compareIDs(a, b model.UUID) int { return bytes.Compare(a[:], b[:]) }

func compareResources(a, b ConfigResource) int {
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// Topic is the topic of a name, or nil.
func (img *Image) Topic(name string) *Topic {
	t, _ := img.topics.get(name)
	return t
}

// TopicBytes is Topic without a copy of the name, for names that still lie in a request's buffer.
func (img *Image) TopicBytes(name []byte) *Topic {
	return img.Topic(unsafe.String(unsafe.SliceData(name), len(name))) // get keeps nothing of its key
}

// TopicByID is the topic of an id, or nil.
func (img *Image) TopicByID(id model.TopicID) *Topic {
	t, _ := img.byID.get(id)
	return t
}

// Topics yields every topic by name.
func (img *Image) Topics() iter.Seq[*Topic] { return values(img.topics.all()) }

// TopicsFrom yields the topics whose name is first or behind it, by name.
func (img *Image) TopicsFrom(first string) iter.Seq[*Topic] { return values(img.topics.from(first)) }

func values[K, V any](seq iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		seq(func(_ K, v V) bool { return yield(v) })
	}
}

// TopicCount is the number of topics.
func (img *Image) TopicCount() int { return img.topics.size }

// PartitionCount is the number of partitions of all topics.
func (img *Image) PartitionCount() int { return img.partitions }

// Partition is one partition of a topic, or nil.
func (img *Image) Partition(tp model.TopicIDPartition) *Partition {
	t := img.TopicByID(tp.ID)
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return nil
	}
	return &t.Partitions[tp.Partition]
}

// Broker is the registered broker of an id, fenced or not, or nil.
func (img *Image) Broker(id model.BrokerID) *Broker {
	if i, ok := img.brokerIndex(id); ok {
		return img.brokers[i]
	}
	return nil
}

func (img *Image) brokerIndex(id model.BrokerID) (int, bool) {
	return slices.BinarySearchFunc(img.brokers, id, func(b *Broker, id model.BrokerID) int { return cmp.Compare(b.ID, id) })
}

// Brokers are the registered brokers by id, fenced ones too. Do not modify.
func (img *Image) Brokers() []*Broker { return img.brokers }

// Voters are the members of the metadata quorum by node id. Do not modify.
func (img *Image) Voters() []*Voter { return img.voters }

// ActiveController is who decides; its ID is NoBroker before the first election.
func (img *Image) ActiveController() Controller { return img.controller }

// NextNodeID is the id of the next node that asks for one: no other node has had it, not even one that was unregistered since, whose disk may come back.
func (img *Image) NextNodeID() model.BrokerID { return max(1, img.nodeID) }

// NextProducerID is the first producer id that was never given away.
func (img *Image) NextProducerID() model.ProducerID { return img.producerID }

// Overrides are the dynamic configuration values of a resource, nil when there are none. Do not modify.
func (img *Image) Overrides(t model.ResourceType, name string) map[string]string {
	m, _ := img.configs.get(ConfigResource{t, name})
	return m
}

// ConfiguredResources yields every resource of a type that has dynamic configuration values, by name.
func (img *Image) ConfiguredResources(t model.ResourceType) iter.Seq[string] {
	return func(yield func(string) bool) {
		for r := range img.configs.from(ConfigResource{Type: t}) {
			if r.Type != t || !yield(r.Name) {
				return
			}
		}
	}
}
