package cli

import (
	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/moving"
)

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
				closed, err := moving.Cordoned(c.Context(), adm, id)
				if err != nil {
					return err
				}
				if !closed {
					a.printf("broker %d was not drained\n", id)
					return nil
				}
				if err := moving.Cordon(c.Context(), adm, id, false); err != nil {
					return err
				}
				a.printf("broker %d may have partitions again\n", id)
				a.note("give it its share: klamm partition rebalance")
				return nil
			})
		},
	}
}
