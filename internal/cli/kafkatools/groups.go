package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/reset"
)

func groupsCommand() command {
	return command{
		about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
		options: []option{
			sw("all-groups", "All groups."),
			sw("all-topics", "All topics the group has offsets for."),
			opt("bootstrap-server", connectTo, "Brokers to begin with, host:port,..."),
			opt("by-duration", "duration", "Reset to the first record of the last PnDTnHnMnS."),
			opt("command-config", "command config property file", "Property file with settings of the client."),
			sw("delete", "Delete groups with their offsets."),
			sw("delete-offsets", "Delete offsets of topics in a group."),
			sw("describe", "Show groups: offsets and lag, members or state."),
			sw("dry-run", "Show what a reset would do."),
			sw("execute", "Do the reset."),
			sw("export", "Print a reset as CSV."),
			opt("from-file", "path to CSV file", "Reset to what the file says."),
			opt("group", "consumer group", "The group; may be repeated."),
			sw("list", "List groups."),
			sw("members", "With --describe: the members."),
			sw("offsets", "With --describe: offsets and lag, the default."),
			sw("reset-offsets", "Reset offsets of groups without active members."),
			opt("shift-by", "number-of-offsets", "Reset by so many records, negative to go back.").number(argLong),
			opt("state", "states", "With --describe the state; with --list states, or only groups in these.").optionalArg(),
			opt("timeout", "timeout (ms)", "How long to wait for a group to become stable.").number(argLong).defaultTo("30000"),
			sw("to-current", "Reset to what is committed."),
			opt("to-datetime", "datetime", "Reset to the first record since 'YYYY-MM-DDThh:mm:ss.sss'."),
			sw("to-earliest", "Reset to the first record."),
			sw("to-latest", "Reset to the end."),
			opt("to-offset", "offset", "Reset to an offset.").number(argLong),
			opt("topic", "topic", "Topic, or topic:0,1 for some partitions; may be repeated."),
			opt("type", "types", "With --list types, or only groups of these.").optionalArg(),
			opt("validate-regex", "regex", "Check a pattern of topics."),
			sw("verbose", "With --describe: more."),
		},
		run: groups,
	}
}

func groups(ctx context.Context, t *tool) error {
	if err := t.checkGroups(); err != nil {
		return err
	}
	if t.opt.has("validate-regex") {
		if _, err := regexp.Compile(t.opt.value("validate-regex")); err != nil {
			t.printf("The regular expression `%s` is invalid: %s.\n", t.opt.value("validate-regex"), err)
		} else {
			t.printf("The regular expression `%s` is valid.\n", t.opt.value("validate-regex"))
		}
		return nil
	}
	err := t.groupAction(ctx)
	var u *usageError
	var shift *reset.NotCommittedError
	switch {
	case err == nil || errors.As(err, &u):
		return err
	case errors.As(err, &shift):
		return wrong("%s", err)
	}
	t.printf("\nError: Executing consumer group command failed due to %s\n", failureText(err))
	return nil // Kafka's tool ends with 0 here
}

// failureText is the message where Java throws it directly, and class and message where it comes out of a future.
func failureText(err error) string {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return shortText(err)
	}
	return javaText(err)
}

func (t *tool) groupAction(ctx context.Context) error {
	c, err := t.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	switch {
	case t.opt.has("list"):
		return t.listGroups(ctx, c)
	case t.opt.has("describe"):
		return t.describeGroups(ctx, c)
	case t.opt.has("delete"):
		return t.deleteGroups(ctx, c)
	case t.opt.has("reset-offsets"):
		return t.resetOffsets(ctx, c)
	}
	return t.deleteOffsets(ctx, c)
}

func (t *tool) checkGroups() error {
	o := t.opt
	actions := []string{"list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"}
	if o.count(actions...) != 1 {
		return wrong("Command must include exactly one action: --%s", strings.Join(actions, ", --"))
	}
	if !o.has("bootstrap-server") && !o.has("validate-regex") {
		return wrong("Missing required argument \"[bootstrap-server]\"")
	}
	for _, action := range []string{"describe", "delete", "reset-offsets"} {
		if o.has(action) && o.count("group", "all-groups") == 0 {
			return wrong("Option [%s] takes one of these options: [all-groups], [group]", action)
		}
	}
	switch {
	case o.has("describe") && o.count("members", "offsets", "state") > 1:
		return wrong("Option [describe] takes at most one of these options: [members], [offsets], [state]")
	case o.has("describe") && o.has("state") && o.value("state") != "":
		return wrong("Option [describe] does not take a value for [state]")
	case o.has("delete") && o.has("topic"):
		return wrong("The consumer does not support topic-specific offset deletion from a consumer group.")
	case o.has("delete-offsets") && o.count("group", "topic") < 2:
		return wrong("Option [delete-offsets] takes the following options: [group], [topic]")
	case o.has("reset-offsets"):
		return t.checkReset()
	}
	return firstOf(o.never("group", "all-groups"), o.never("members", "list", "delete", "reset-offsets"), o.never("offsets", "list", "delete", "reset-offsets"))
}

func scenarios() []string {
	return []string{"to-datetime", "by-duration", "to-latest", "to-current", "to-earliest", "to-offset", "shift-by", "from-file"}
}

func (t *tool) checkReset() error {
	o := t.opt
	if err := o.never("dry-run", "execute"); err != nil {
		return err
	}
	if o.count("dry-run", "execute") == 0 {
		t.warn("WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run " +
			"or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the " +
			"current default behavior without prompting.")
	}
	if o.count(scenarios()...) == 0 {
		return wrong("Option '[reset-offsets]' requires one of the following scenarios: [[%s]]", strings.Join(scenarios(), "], ["))
	}
	for _, first := range []string{"to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "shift-by", "from-file"} {
		others := slices.DeleteFunc(scenarios(), func(s string) bool { return s == first })
		if err := o.never(first, others...); err != nil {
			return err
		}
	}
	if o.count("topic", "all-topics", "from-file") == 0 {
		return wrong("One of the reset scopes should be defined: --all-topics, --topic.")
	}
	return o.never("topic", "all-topics")
}

func (t *tool) listGroups(ctx context.Context, c *connect.Cluster) error {
	var states, types []string
	split := func(name string) []string {
		var out []string
		for s := range strings.SplitSeq(t.opt.value(name), ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	for _, s := range split("state") {
		states = append(states, camelState(s))
	}
	types = split("type")
	all, err := c.Groups(ctx, states, types)
	if err != nil {
		return err
	}
	width := 15
	list := slices.DeleteFunc(all, func(g connect.Group) bool {
		// Connect's workers and the like are not consumer groups.
		return g.Protocol != "" && g.Protocol != "consumer" && (g.Type == "" || strings.EqualFold(g.Type, "classic"))
	})
	for _, g := range list {
		width = max(width, len(g.Name))
	}
	withType, withState := t.opt.has("type"), t.opt.has("state")
	if !withType && !withState {
		for _, g := range list {
			t.printf("%s\n", g.Name)
		}
		return nil
	}
	line := func(group, kind, state string) {
		t.printf("%-*s", width+10, group)
		if withType {
			t.printf(" %-20s", kind)
		}
		if withState {
			t.printf(" %-20s", state)
		}
		t.printf("\n")
	}
	line("GROUP", "TYPE", "STATE")
	for _, g := range list {
		line(g.Name, capital(g.Type), g.State)
	}
	return nil
}

// capital is how Java's enum prints a type of group.
func capital(s string) string {
	if s == "" {
		return "Classic"
	}
	return strings.ToUpper(s[:1]) + strings.ToLower(s[1:])
}

// camelState finds the protocol's name of a state whatever case it was typed in.
func camelState(s string) string {
	for _, known := range []string{"PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling", "NotReady"} {
		if strings.EqualFold(known, s) {
			return known
		}
	}
	return s
}

// named are the groups asked for: those of --group, or all.
func (t *tool) named(ctx context.Context, c *connect.Cluster) ([]string, error) {
	if !t.opt.has("all-groups") {
		return t.opt.values("group"), nil
	}
	groups, err := c.ListGroups(ctx)
	return groups.Groups(), err
}

func (t *tool) deleteGroups(ctx context.Context, c *connect.Cluster) error {
	names, err := t.named(ctx, c)
	if err != nil {
		return err
	}
	var failures, deleted []string
	for _, name := range names {
		if _, err := c.DeleteGroup(ctx, name); err != nil {
			failures = append(failures, fmt.Sprintf("* Group '%s' could not be deleted due to: %s", name, javaText(err)))
		} else {
			deleted = append(deleted, "'"+name+"'")
		}
	}
	if len(failures) == 0 {
		t.printf("Deletion of requested consumer groups (%s) was successful.\n", strings.Join(deleted, ", "))
		return nil
	}
	t.printf("\nError: Deletion of some consumer groups failed:\n%s\n", strings.Join(failures, "\n"))
	if len(deleted) > 0 {
		t.printf("\nThese consumer groups were deleted successfully: %s\n", strings.Join(deleted, ", "))
	}
	return nil
}

func (t *tool) deleteOffsets(ctx context.Context, c *connect.Cluster) error {
	group := t.opt.value("group")
	type row struct{ topic, partition, status string }
	var rows []row
	set := kadm.TopicsSet{}
	for _, arg := range t.opt.values("topic") {
		partitions, err := reset.ParseTopics(ctx, c, []string{arg})
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			rows = append(rows, row{arg, "-", "Error: " + javaText(kerr.UnknownTopicOrPartition)})
			continue
		}
		if err != nil {
			return err
		}
		for _, p := range partitions {
			set.Add(p.Topic, p.Partition)
		}
	}
	head := fmt.Sprintf("Request succeeded for deleting offsets from group %s.", group)
	if len(set) > 0 {
		responses, err := c.DeleteOffsets(ctx, group, set)
		if err != nil {
			head = "\nError: " + shortText(err)
		}
		for _, topic := range set.Sorted() {
			for _, p := range topic.Partitions {
				r := row{topic.Topic, fmt.Sprint(p), "Successful"}
				failure := err
				if failure == nil {
					if failure, _ = responses.Lookup(topic.Topic, p); failure != nil {
						head = "\nError: Encountered some partition-level error, see the follow-up details."
					}
				}
				if failure != nil {
					r.status = "Error: " + javaText(failure)
				}
				rows = append(rows, r)
			}
		}
	}
	t.printf("%s\n\n%-15s %-10s %-15s\n", head, "TOPIC", "PARTITION", "STATUS")
	for _, r := range rows {
		t.printf("%-15s %-10s %-15s\n", r.topic, r.partition, r.status)
	}
	return nil
}
