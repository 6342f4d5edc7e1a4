package cli

import "github.com/spf13/cobra"

func (a *app) storageCommand() *cobra.Command {
	return noun("storage", "look into a data directory whose node is stopped")
}
