package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
)

// cordonKey keeps new partitions away from a broker (KIP-1066).
const cordonKey = "cordoned.log.dirs"

func (a *app) brokerRecommission() *cobra.Command {
	return &cobra.Command{
		Use: "recommission ID", Short: "take a drain back: partitions may be placed on a broker again", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeBrokers,
		Long: "Let a broker that was drained have partitions again. Nothing moves by itself: klamm partition rebalance gives it its share.",
		RunE: func(c *cobra.Command, args []string) error {
			id, err := brokerID(args[0])
			if err != nil {
				return err
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				closed, err := cordoned(c.Context(), adm, id)
				if err != nil {
					return err
				}
				if !closed {
					a.printf("broker %d was not drained\n", id)
					return nil
				}
				if err := cordon(c.Context(), adm, id, false); err != nil {
					return err
				}
				a.printf("broker %d may have partitions again\n", id)
				a.note("give it its share: klamm partition rebalance")
				return nil
			})
		},
	}
}

// cordoned reports that a broker gets no new partitions.
func cordoned(ctx context.Context, adm *connect.Cluster, id int32) (bool, error) {
	set, err := describeConfigs(ctx, adm, resources("broker", strconv.Itoa(int(id))))
	if err != nil {
		return false, err
	}
	for _, entries := range set {
		for _, e := range entries {
			if e.Name == cordonKey && e.Value != nil {
				return *e.Value == "*", nil
			}
		}
	}
	return false, nil
}

func cordon(ctx context.Context, adm *connect.Cluster, id int32, closed bool) error {
	all := "*"
	op := kadm.AlterConfig{Op: kadm.DeleteConfig, Name: cordonKey}
	if closed {
		op = kadm.AlterConfig{Op: kadm.SetConfig, Name: cordonKey, Value: &all}
	}
	resp, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{op}, id)
	if err := configError(resp, err); err != nil {
		return fmt.Errorf("broker %d: %w", id, err)
	}
	return nil
}
