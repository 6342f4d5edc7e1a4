package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "print a completion script for a shell", Args: cobra.ExactArgs(1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Example:   "  source <(klamm completion bash)\n  klamm completion zsh > \"${fpath[1]}/_klamm\"",
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return usage("%s: expected bash, zsh, fish or powershell", args[0])
		},
	}
}

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// complete asks the cluster for names, and for little: nobody waits for a completion.
func (a *app) complete(list func(context.Context, *connect.Cluster) ([]string, error)) completion {
	return func(c *cobra.Command, taken []string, prefix string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var names []string
		err := a.withAdmin(func(adm *connect.Cluster) error {
			all, err := list(ctx, adm)
			for _, n := range all {
				if strings.HasPrefix(n, prefix) {
					names = append(names, n)
				}
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func topicNames(ctx context.Context, adm *connect.Cluster) ([]string, error) {
	topics, err := adm.ListTopics(ctx)
	return topics.Names(), err
}

func groupNames(ctx context.Context, adm *connect.Cluster) ([]string, error) {
	groups, err := adm.ListGroups(ctx)
	return groups.Groups(), err
}

func brokerIDs(ctx context.Context, adm *connect.Cluster) ([]string, error) {
	brokers, err := adm.ListBrokers(ctx)
	var out []string
	for _, b := range brokers {
		out = append(out, fmt.Sprint(b.NodeID))
	}
	return out, err
}

func (a *app) completeTopics(c *cobra.Command, taken []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(topicNames)(c, taken, prefix)
}

func (a *app) completeGroups(c *cobra.Command, taken []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(groupNames)(c, taken, prefix)
}

func (a *app) completeBrokers(c *cobra.Command, taken []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(brokerIDs)(c, taken, prefix)
}

// completeTargets completes the kind first, then the name behind it.
func (a *app) completeTargets(c *cobra.Command, taken []string, prefix string) ([]string, cobra.ShellCompDirective) {
	kind, rest, ok := strings.Cut(prefix, "/")
	if !ok {
		return []string{"topic/", "broker/", "group/"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	by := map[string]completion{"topic": a.completeTopics, "group": a.completeGroups, "broker": a.completeBrokers}[kind]
	if by == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := by(c, taken, rest)
	for i := range names {
		names[i] = kind + "/" + names[i]
	}
	return names, directive
}
