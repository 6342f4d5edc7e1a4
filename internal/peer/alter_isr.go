package peer

import (
	"time"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// alterISR answers key 1012: a leader's wish for other in-sync replicas (KIP-497).
func alterISR(x *call) error {
	var req wire.AlterISRRequest
	if err := x.decode(&req); err != nil {
		return err
	}
	q := controller.AlterISR{Leader: model.BrokerID(req.BrokerID), LeaderEpoch: model.BrokerEpoch(req.BrokerEpoch)}
	for i := range req.Partitions {
		rp := &req.Partitions[i]
		c := controller.ProposedISR{
			TopicIDPartition: model.TopicIDPartition{ID: rp.TopicID, Partition: rp.Index},
			LeaderEpoch:      model.LeaderEpoch(rp.LeaderEpoch), PartitionEpoch: model.PartitionEpoch(rp.PartitionEpoch),
		}
		for _, m := range rp.NewISR {
			c.ISR = append(c.ISR, controller.ISRMember{ID: model.BrokerID(m.BrokerID), Epoch: model.BrokerEpoch(m.BrokerEpoch)})
		}
		for _, l := range rp.Lost {
			c.Lost = append(c.Lost, controller.Lost{
				ID: model.BrokerID(l.BrokerID), Silent: ms(l.SilentMs), Behind: ms(l.BehindMs), Records: l.Records,
			})
		}
		q.Partitions = append(q.Partitions, c)
	}
	reply, err := x.Controller.AlterISR(x.s.ctx, q)
	resp := wire.AlterISRResponse{ErrorCode: x.CodeOf(err)}
	for _, o := range reply {
		resp.Partitions = append(resp.Partitions, wire.AlterISRResponsePartition{TopicID: o.ID, Index: o.Partition, ErrorCode: o.Code})
	}
	return x.send(&resp)
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
