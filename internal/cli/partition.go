package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/cli/moves"
	"github.com/klamm/klamm/internal/cli/moving"
)

func (a *app) partitionCommand() *cobra.Command {
	return noun("partition", "see where replicas are and move them", a.partitionList(), a.partitionMove(), a.partitionRebalance(), a.partitionElect(),
		a.partitionStatus(), a.partitionCancel(), a.partitionVerify())
}

type partitionState struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"` // -1: none
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Adding    []int32 `json:"adding"`
	Removing  []int32 `json:"removing"`

	offline []int32 // replicas whose broker is away, or whose directory has failed
	planned bool    // it was to move
}

func (s *partitionState) name() string { return fmt.Sprintf("%s-%d", s.Topic, s.Partition) }

func (s *partitionState) place() moves.Partition {
	return moves.Partition{Topic: s.Topic, Partition: s.Partition, Replicas: s.Replicas}
}

// health says in a word what is wrong.
func (s *partitionState) health() string {
	switch {
	case s.Leader < 0:
		return "offline"
	case len(s.Adding)+len(s.Removing) > 0:
		return "moving"
	case len(s.ISR) < len(s.Replicas):
		return "under-replicated"
	case s.Leader != s.Replicas[0]:
		return "not preferred"
	}
	return "ok"
}

// selection is what arguments name: topics, or topic:partition.
type selection map[string][]int32 // without partitions: all

func parseSelection(args []string) (selection, error) {
	s := selection{}
	for _, arg := range args {
		topic, list, some := strings.Cut(arg, ":")
		if !some {
			s[topic] = nil
			continue
		}
		ids, err := parseIDs(list)
		if err != nil {
			return nil, usage("%s: expected TOPIC or TOPIC:PARTITION,...", arg)
		}
		s[topic] = append(s[topic], ids...)
	}
	return s, nil
}

func parseIDs(list string) (out []int32, err error) {
	for f := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(f), 10, 32)
		if err != nil || n < 0 {
			return nil, usage("%q is not a list of numbers", list)
		}
		out = append(out, int32(n))
	}
	return out, nil
}

func (s selection) has(topic string, p int32) bool {
	ids, ok := s[topic]
	return len(s) == 0 || ok && (len(ids) == 0 || slices.Contains(ids, p))
}

// partitions reads the state of those that are selected, in order.
func partitions(ctx context.Context, adm *connect.Cluster, sel selection) ([]partitionState, error) {
	m, err := adm.Metadata(ctx, sortedKeys(sel)...)
	if err != nil {
		return nil, err
	}
	on, err := onTheMove(ctx, adm)
	if err != nil {
		return nil, err
	}
	out := []partitionState{}
	for _, t := range m.Topics.Sorted() {
		if t.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Topic, t.Err)
		}
		for _, p := range t.Partitions.Sorted() {
			if !sel.has(t.Topic, p.Partition) {
				continue
			}
			s := partitionState{Topic: t.Topic, Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR, Adding: []int32{}, Removing: []int32{},
				offline: p.OfflineReplicas}
			if r, ok := on[s.name()]; ok {
				s.Replicas, s.Adding, s.Removing = r.Replicas, r.AddingReplicas, r.RemovingReplicas
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// onTheMove asks the controller what is on the move: brokers hear of it a little later.
func onTheMove(ctx context.Context, adm *connect.Cluster) (map[string]kmsg.ListPartitionReassignmentsResponseTopicPartition, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	resp, err := req.RequestWith(ctx, adm.Raw)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	out := map[string]kmsg.ListPartitionReassignmentsResponseTopicPartition{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out[fmt.Sprintf("%s-%d", t.Topic, p.Partition)] = p
		}
	}
	return out, nil
}

func partitionTable(list []partitionState) *table {
	t := &table{columns: columns("TOPIC", ">PARTITION", ">LEADER", "+>EPOCH", "REPLICAS", "ISR", "ADDING", "REMOVING", "STATE")}
	for i := range list {
		s := &list[i]
		leader := fmt.Sprint(s.Leader)
		if s.Leader < 0 {
			leader = "none"
		}
		t.add(s.Topic, s.Partition, leader, s.Epoch, ids(s.Replicas), ids(s.ISR), dash(ids(s.Adding)), dash(ids(s.Removing)), s.health())
	}
	return t
}

func ids(list []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

func (a *app) partitionList() *cobra.Command {
	var trouble bool
	c := &cobra.Command{
		Use: "list [TOPIC[:PARTITION,...]...]", Short: "partitions with leader, replicas and state", ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			return a.showPartitions(c.Context(), args, func(s *partitionState) bool { return !trouble || s.health() != "ok" })
		},
	}
	c.Flags().BoolVar(&trouble, "trouble", false, "only those that are not as they should be")
	return c
}

func (a *app) showPartitions(ctx context.Context, args []string, show func(*partitionState) bool) error {
	sel, err := parseSelection(args)
	if err != nil {
		return err
	}
	return a.withAdmin(func(adm *connect.Cluster) error {
		list, err := partitions(ctx, adm, sel)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(s partitionState) bool { return !show(&s) })
		return a.show(list, "", partitionTable(list), "")
	})
}

// moveFlags say how a plan is carried out.
type moveFlags struct {
	yes, dryRun bool
	out         string
	throttle    int64        // bytes per second; 0 for none
	before      func() error // may be nil; called when everything is agreed to
}

func (f *moveFlags) register(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the plan, change nothing")
	c.Flags().Int64Var(&f.throttle, "throttle", 0, "bytes per second that each broker may send and take for this; klamm partition verify takes it away at the end")
	c.Flags().StringVar(&f.out, "save-old", "", "file to write where replicas are now, to go back by klamm partition move --file")
	return c
}

func (a *app) partitionMove() *cobra.Command {
	var f moveFlags
	var to, file string
	c := &cobra.Command{
		Use: "move (TOPIC[:PARTITION,...] --to BROKER,... | --file FILE)", Short: "give partitions other replicas, or another number of them",
		Example: "  klamm partition move orders:0,1 --to 1,2,3 --dry-run\n  klamm partition move --file plan.json --save-old back.json",
		Args:    cobra.ArbitraryArgs, ValidArgsFunction: a.completeTopics,
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 0) == (file == "") || (to == "") != (file != "") {
				return usage("name partitions and --to, or a --file")
			}
			return a.withAdmin(func(adm *connect.Cluster) error {
				plan, err := wantedMoves(c.Context(), adm, args, to, file)
				if err != nil {
					return err
				}
				return a.carryOut(c.Context(), adm, plan, &f)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "brokers, the preferred leader first")
	c.Flags().StringVar(&file, "file", "", "Kafka's reassignment JSON")
	return f.register(c)
}

// wantedMoves is what was asked for by hand, without what is so already.
func wantedMoves(ctx context.Context, adm *connect.Cluster, args []string, to, file string) ([]moves.Move, error) {
	var want []moves.Partition
	sel, err := parseSelection(args)
	if err != nil {
		return nil, err
	}
	if file != "" {
		if want, err = readPlan(file); err != nil {
			return nil, err
		}
		for _, w := range want {
			sel[w.Topic] = append(sel[w.Topic], w.Partition)
		}
	}
	now, err := partitions(ctx, adm, sel)
	if err != nil {
		return nil, err
	}
	for topic, ps := range sel {
		for _, p := range ps {
			if !slices.ContainsFunc(now, func(s partitionState) bool { return s.Topic == topic && s.Partition == p }) {
				return nil, &fault{what: fmt.Sprintf("there is no partition %s-%d", topic, p), next: "see them: klamm partition list " + topic, code: ExitError}
			}
		}
	}
	if file == "" {
		brokers, err := parseIDs(to)
		if err != nil {
			return nil, err
		}
		for i := range now {
			want = append(want, moves.Partition{Topic: now[i].Topic, Partition: now[i].Partition, Replicas: brokers})
		}
	}
	var plan []moves.Move
	for _, w := range want {
		i := slices.IndexFunc(now, func(s partitionState) bool { return s.Topic == w.Topic && s.Partition == w.Partition })
		if !slices.Equal(now[i].Replicas, w.Replicas) {
			plan = append(plan, moves.Move{Topic: w.Topic, Partition: w.Partition, From: now[i].Replicas, To: w.Replicas})
		}
	}
	return plan, nil
}

func readPlan(file string) ([]moves.Partition, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return moves.Read(f)
}

// carryOut shows a plan, asks, and begins it.
func (a *app) carryOut(ctx context.Context, adm *connect.Cluster, plan []moves.Move, f *moveFlags) error {
	if plan == nil {
		plan = []moves.Move{}
	}
	copies := 0
	t := &table{columns: columns("TOPIC", ">PARTITION", "FROM", "TO", "COPIES TO")}
	for i := range plan {
		m := &plan[i]
		copies += len(m.Adding())
		t.add(m.Topic, m.Partition, ids(m.From), ids(m.To), dash(ids(m.Adding())))
	}
	if err := a.show(plan, "", t, ""); err != nil || f.dryRun || len(plan) == 0 {
		return err
	}
	if err := a.confirm(f.yes, fmt.Sprintf("Change %s, which copies %s?", plural(len(plan), "partition"), plural(copies, "replica"))); err != nil {
		return err
	}
	if f.out != "" {
		if err := saveOld(f.out, plan); err != nil {
			return err
		}
	}
	if f.before != nil {
		if err := f.before(); err != nil {
			return err
		}
	}
	if f.throttle > 0 {
		if err := moving.Throttle(ctx, adm, plan, f.throttle); err != nil {
			return fmt.Errorf("setting the throttle: %w", err)
		}
		a.note("throttled to %d bytes per second; at the end take that away: klamm partition verify", f.throttle)
	}
	var req kadm.AlterPartitionAssignmentsReq
	for i := range plan {
		req.Assign(plan[i].Topic, plan[i].Partition, plan[i].To)
	}
	return a.alterAssignments(ctx, adm, req, len(plan), "move")
}

func saveOld(file string, plan []moves.Move) error {
	var old []moves.Partition
	for i := range plan {
		old = append(old, moves.Partition{Topic: plan[i].Topic, Partition: plan[i].Partition, Replicas: plan[i].From})
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := moves.Write(f, old); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func (a *app) alterAssignments(ctx context.Context, adm *connect.Cluster, req kadm.AlterPartitionAssignmentsReq, n int, what string) error {
	resp, err := adm.AlterPartitionAssignments(ctx, req)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range resp.Sorted() {
		if r.Err != nil {
			errs = append(errs, a.failed(n, fmt.Sprintf("%s-%d", r.Topic, r.Partition), r.Err, r.ErrMessage))
		}
	}
	if len(errs) < n {
		a.note("begun; see how far it is: klamm partition status")
	}
	return outcome(what, n, errs)
}
