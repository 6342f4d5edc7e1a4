package peer

import (
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// assignDirs answers key 1015: in which data directories a broker has its replicas (KIP-858).
func assignDirs(x *call) error {
	var req wire.AssignDirsRequest
	if err := x.decode(&req); err != nil {
		return err
	}
	q := controller.AssignDirs{Broker: model.BrokerID(req.BrokerID), Epoch: model.BrokerEpoch(req.BrokerEpoch)}
	for i := range req.Partitions {
		p := &req.Partitions[i]
		q.Partitions = append(q.Partitions, controller.AssignedDir{
			TopicIDPartition: model.TopicIDPartition{ID: p.TopicID, Partition: p.Index}, Dir: p.DirectoryID,
		})
	}
	return x.send(&wire.AssignDirsResponse{ErrorCode: x.CodeOf(x.Controller.AssignDirs(x.s.ctx, q))})
}
