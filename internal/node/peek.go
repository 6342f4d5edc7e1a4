package node

import (
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/replication"
)

// What a simulation looks at to judge a node from within. Nothing else uses it, and nothing can be changed by it.

// Failed gives the error by which a node ended itself.
func (n *Node) Failed() <-chan error { return n.failed }

// Image is the newest metadata this node has.
func (n *Node) Image() *metadata.Image { return n.image.Load() }

// QuorumStatus is this node's view of the metadata quorum.
func (n *Node) QuorumStatus() quorum.Status { return n.quorum.Status() }

// Incarnation names this process.
func (n *Node) Incarnation() model.UUID { return n.incarnation }

// Replica is one partition as this node holds it.
type Replica struct {
	*replication.Partition
	Log *commitlog.Log
}

// Replicas are all partitions this node holds, in no order.
func (n *Node) Replicas() []Replica {
	all := n.replicas.all()
	out := make([]Replica, len(all))
	for i, r := range all {
		out[i] = Replica{r.part, r.part.Log()}
	}
	return out
}
