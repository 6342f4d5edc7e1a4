package moving

import (
	"context"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/cli/connect"
)

// Progress is how far a partition on the move is.
type Progress struct {
	// Bytes are what the new replicas have to have together, Copied what they have, by the sizes of the logs.
	Bytes  int64 `json:"bytes"`
	Copied int64 `json:"copied_bytes"`
	Left   int64 `json:"left_bytes"`
	// Rate is what came in the time between two looks, and Seconds how long it takes to the end at that rate; -1 when nothing came.
	Rate    int64 `json:"bytes_per_second"`
	Seconds int64 `json:"seconds_left"`
}

// Partition is one on the move.
type Partition struct {
	Topic       string
	Partition   int32
	ISR, Adding []int32
}

// Look looks at what moves, twice when there is time for it, and gives the progress of each.
func Look(ctx context.Context, adm *connect.Cluster, parts []Partition, between time.Duration) ([]Progress, error) {
	first, err := copied(ctx, adm, parts)
	if err != nil || between <= 0 || len(parts) == 0 {
		return first, err
	}
	begin := time.Now()
	select {
	case <-time.After(between):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now, err := copied(ctx, adm, parts)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin).Seconds()
	for i := range now {
		if p := &now[i]; p.Copied > first[i].Copied {
			p.Rate = int64(float64(p.Copied-first[i].Copied) / took)
			p.Seconds = p.Left / max(p.Rate, 1)
		}
	}
	return now, nil
}

// replica names one log in the cluster.
type replica struct {
	topic     string
	partition int32
	broker    int32
}

// copied takes the sizes as they are now. A broker that does not answer has copied nothing that is known.
func copied(ctx context.Context, adm *connect.Cluster, parts []Partition) ([]Progress, error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	size := map[replica]int64{}
	for _, id := range brokers.NodeIDs() {
		dirs, err := adm.DescribeBrokerLogDirs(ctx, id, nil)
		if err != nil {
			continue
		}
		for _, d := range dirs {
			for _, p := range d.Topics.Sorted() {
				if !p.IsFuture {
					size[replica{p.Topic, p.Partition, id}] = p.Size
				}
			}
		}
	}
	out := make([]Progress, len(parts))
	for i := range parts {
		p, whole := &parts[i], int64(0)
		for _, id := range p.ISR {
			whole = max(whole, size[replica{p.Topic, p.Partition, id}])
		}
		out[i].Seconds = -1
		for _, id := range p.Adding {
			out[i].Bytes += whole
			if slices.Contains(p.ISR, id) {
				out[i].Copied += whole // sizes differ a little where segments do
			} else {
				out[i].Copied += min(size[replica{p.Topic, p.Partition, id}], whole)
			}
		}
		out[i].Left = max(out[i].Bytes-out[i].Copied, 0)
	}
	return out, nil
}
