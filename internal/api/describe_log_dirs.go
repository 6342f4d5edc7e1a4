package api

import (
	"cmp"
	"slices"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// describeLogDirs answers key 35: what lies in this node's data directories (KIP-113), how large it is, and how much room is left (KIP-827).
// Null topics ask for all; topics that are not here are left out.
func describeLogDirs(a *API, _ *Request, q *wire.DescribeLogDirsRequest) (*wire.DescribeLogDirsResponse, error) {
	var wanted map[model.TopicPartition]bool
	if q.Topics != nil {
		wanted = map[model.TopicPartition]bool{}
	}
	for i := range q.Topics {
		for _, p := range q.Topics[i].Partitions {
			wanted[model.TopicPartition{Topic: q.Topics[i].Topic, Partition: p}] = true
		}
	}
	resp := &wire.DescribeLogDirsResponse{}
	for _, dir := range a.Partitions.Dirs() {
		resp.Results = append(resp.Results, describeDir(&dir, wanted))
	}
	return resp, nil
}

func describeDir(dir *LogDir, wanted map[model.TopicPartition]bool) wire.DescribeLogDirsResponseDir {
	out := wire.NewDescribeLogDirsResponseDir()
	out.LogDir, out.IsCordoned = dir.Path, dir.Cordoned
	if dir.Offline {
		out.ErrorCode = model.KafkaStorageError
		return out
	}
	out.TotalBytes, out.UsableBytes = int64(dir.Total), int64(dir.Free)
	logs := slices.DeleteFunc(slices.Clone(dir.Logs), func(l LogSize) bool { return wanted != nil && !wanted[l.TP] })
	slices.SortFunc(logs, func(a, b LogSize) int {
		if c := cmp.Compare(a.TP.Topic, b.TP.Topic); c != 0 {
			return c
		}
		return cmp.Compare(a.TP.Partition, b.TP.Partition)
	})
	for _, l := range logs {
		if n := len(out.Topics); n == 0 || out.Topics[n-1].Name != l.TP.Topic {
			out.Topics = append(out.Topics, wire.DescribeLogDirsResponseDirTopic{Name: l.TP.Topic})
		}
		t := &out.Topics[len(out.Topics)-1]
		t.Partitions = append(t.Partitions, wire.DescribeLogDirsResponseDirTopicPartition{
			PartitionIndex: l.TP.Partition, PartitionSize: l.Size, OffsetLag: l.Lag, IsFutureKey: l.Future,
		})
	}
	return out
}
