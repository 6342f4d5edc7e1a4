package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func (n *nemesis) elect() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n.s.trace("elect preferred leaders")
	_, err := n.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
	n.s.trace("elected: %v", err)
}

// move gives some partitions other replicas, and does so again while that is under way.
func (n *nemesis) move() {
	for range 1 + n.s.draw()%4 {
		n.moveSome()
		if !n.rest(n.between(0, 2*time.Second)) {
			return
		}
	}
}

func (n *nemesis) moveSome() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var req kadm.AlterPartitionAssignmentsReq
	var said []string
	for range 1 + n.s.draw()%3 {
		p := int32(n.s.draw() % uint64(n.s.opts.Partitions))
		ids := n.s.brokerIDs()
		for i := len(ids) - 1; i > 0; i-- {
			j := int(n.s.draw() % uint64(i+1))
			ids[i], ids[j] = ids[j], ids[i]
		}
		copies := 3
		if n.s.draw()%4 == 0 {
			copies = 2 // so that three machines have something to move, too
		}
		if len(ids) < copies {
			return
		}
		req.Assign(topic, p, ids[:copies])
		said = append(said, fmt.Sprintf("%d to %v", p, ids[:copies]))
	}
	if n.s.draw()%4 == 0 {
		req = kadm.AlterPartitionAssignmentsReq{}
		for p := range n.s.opts.Partitions {
			req.CancelAssign(topic, p)
		}
		said = []string{"cancel"}
	}
	n.s.trace("move %s", strings.Join(said, ", "))
	_, err := n.admin.AlterPartitionAssignments(ctx, req)
	n.s.trace("moving: %v", err)
}
