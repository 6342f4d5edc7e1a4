package moving

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
)

// cordonKey keeps new partitions away from a broker (KIP-1066).
const cordonKey = "cordoned.log.dirs"

// Cordoned reports that a broker gets no new partitions.
func Cordoned(ctx context.Context, adm *connect.Cluster, id int32) (bool, error) {
	set, err := adm.DescribeBrokerConfigs(ctx, id)
	if err != nil {
		return false, err
	}
	for _, r := range set {
		for _, c := range r.Configs {
			if c.Key == cordonKey {
				return c.MaybeValue() == "*", r.Err
			}
		}
	}
	return false, nil
}

// Cordon keeps new partitions away from a broker, or lets them come again.
func Cordon(ctx context.Context, adm *connect.Cluster, id int32, closed bool) error {
	all := "*"
	if closed {
		return alterBroker(ctx, adm, id, kadm.AlterConfig{Op: kadm.SetConfig, Name: cordonKey, Value: &all})
	}
	return alterBroker(ctx, adm, id, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: cordonKey})
}
