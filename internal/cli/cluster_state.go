package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
)

type clusterState struct {
	ID              string            `json:"id"`
	Controller      int32             `json:"controller"`
	Brokers         []brokerSummary   `json:"brokers"`
	Topics          int               `json:"topics"`
	Partitions      int               `json:"partitions"`
	Offline         []string          `json:"offline_partitions"`          // without a leader
	UnderMinISR     []string          `json:"under_min_isr_partitions"`    // fewer in sync than min.insync.replicas: no acks=all
	UnderReplicated []string          `json:"under_replicated_partitions"` // fewer in sync than replicas
	NotPreferred    []string          `json:"not_preferred_leader_partitions"`
	Reasons         map[string]string `json:"reasons"` // by partition
	skewed          []string          // brokers that lead far fewer partitions than they should
}

type brokerSummary struct {
	ID         int32  `json:"id"`
	Address    string `json:"address"`
	Rack       string `json:"rack,omitempty"`
	Controller bool   `json:"controller"`
	Leaders    int    `json:"leaders"`
	Replicas   int    `json:"replicas"`
}

// skewPercent is how many of a broker's preferred partitions others may lead, as leader.imbalance.per.broker.percentage.
const skewPercent = 10

func readCluster(ctx context.Context, adm *connect.Cluster) (clusterState, error) {
	m, err := adm.Metadata(ctx)
	if err != nil {
		return clusterState{}, err
	}
	s := clusterState{
		ID: m.Cluster, Controller: m.Controller, Brokers: []brokerSummary{}, Offline: []string{}, UnderMinISR: []string{}, UnderReplicated: []string{}, NotPreferred: []string{},
		Reasons: map[string]string{},
	}
	leaders, replicas := map[int32]int{}, map[int32]int{}
	preferred, elsewhere := map[int32]int{}, map[int32]int{}
	short := map[string][]kadm.PartitionDetail{}
	for _, t := range m.Topics.Sorted() {
		s.Topics++
		for _, p := range t.Partitions.Sorted() {
			s.Partitions++
			leaders[p.Leader]++
			for _, r := range p.Replicas {
				replicas[r]++
			}
			if len(p.Replicas) > 0 {
				preferred[p.Replicas[0]]++
			}
			switch name := partitionName(p); {
			case p.Leader < 0:
				s.Offline = append(s.Offline, name)
				s.Reasons[name] = missingReplicas(p)
			case len(p.Replicas) > 0 && p.Leader != p.Replicas[0]:
				s.NotPreferred = append(s.NotPreferred, name)
				elsewhere[p.Replicas[0]]++
			}
			if len(p.ISR) < len(p.Replicas) {
				name := partitionName(p)
				s.UnderReplicated = append(s.UnderReplicated, name)
				s.Reasons[name] = missingReplicas(p)
				short[p.Topic] = append(short[p.Topic], p)
			}
		}
	}
	for _, b := range m.Brokers {
		s.Brokers = append(s.Brokers, summaryOf(b, m.Controller, leaders, replicas))
		if n := elsewhere[b.NodeID]; n*100 > preferred[b.NodeID]*skewPercent {
			s.skewed = append(s.skewed, fmt.Sprintf("broker %d leads %d of the %d that prefer it", b.NodeID, preferred[b.NodeID]-n, preferred[b.NodeID]))
		}
	}
	return s, s.findUnderMinISR(ctx, adm, short)
}

func partitionName(p kadm.PartitionDetail) string { return fmt.Sprintf("%s-%d", p.Topic, p.Partition) }

// missingReplicas says why a partition lacks replicas, as far as metadata tells.
func missingReplicas(p kadm.PartitionDetail) string {
	var out []string
	for _, id := range p.Replicas {
		switch {
		case slices.Contains(p.OfflineReplicas, id):
			out = append(out, fmt.Sprintf("broker %d is away", id))
		case !slices.Contains(p.ISR, id):
			out = append(out, fmt.Sprintf("broker %d is not in sync", id))
		}
	}
	return strings.Join(out, ", ")
}

// configsAtOnce bounds one question for the configurations of topics.
const configsAtOnce = 500

// findUnderMinISR asks for the min.insync.replicas of topics that lack replicas.
func (s *clusterState) findUnderMinISR(ctx context.Context, adm *connect.Cluster, short map[string][]kadm.PartitionDetail) error {
	for names := range slices.Chunk(sortedKeys(short), configsAtOnce) {
		configs, err := adm.DescribeTopicConfigs(ctx, names...)
		if err != nil {
			return err
		}
		for _, c := range configs {
			if c.Err != nil {
				continue // deleted meanwhile, or not ours to see
			}
			for _, kv := range c.Configs {
				least, err := strconv.Atoi(kv.MaybeValue())
				if kv.Key != "min.insync.replicas" || err != nil {
					continue
				}
				for _, p := range short[c.Name] {
					if len(p.ISR) < min(least, len(p.Replicas)) {
						s.UnderMinISR = append(s.UnderMinISR, partitionName(p))
					}
				}
			}
		}
	}
	slices.Sort(s.UnderMinISR)
	return nil
}

// some names the first partitions of a list, with reasons.
func (s *clusterState) some(list []string) string {
	const most = 10
	var out []string
	for _, name := range list[:min(most, len(list))] {
		if why := s.Reasons[name]; why != "" {
			name += " (" + why + ")"
		}
		out = append(out, name)
	}
	text := strings.Join(out, ", ")
	if more := len(list) - len(out); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func protocolChecks(s *clusterState) []healthCheck {
	return []healthCheck{
		{"brokers", len(s.Brokers) > 0, fmt.Sprintf("%d registered", len(s.Brokers))},
		{"controller", s.Controller >= 0, fmt.Sprintf("broker %d", s.Controller)},
		{"leaders", len(s.Offline) == 0, s.countOr("all partitions have one", "without a leader", s.Offline)},
		{"min.insync.replicas", len(s.UnderMinISR) == 0, s.countOr("reached everywhere", "under it", s.UnderMinISR)},
		{"replicas", len(s.UnderReplicated) == 0, s.countOr("all in sync", "under-replicated", s.UnderReplicated)},
		{"leader skew", len(s.skewed) == 0, s.skew()},
	}
}

func (s *clusterState) skew() string {
	if len(s.skewed) == 0 {
		return fmt.Sprintf("%s not led by the preferred replica", plural(len(s.NotPreferred), "partition"))
	}
	return strings.Join(s.skewed, ", ")
}

func (s *clusterState) countOr(fine, wrong string, list []string) string {
	if len(list) == 0 {
		return fine
	}
	return fmt.Sprintf("%s %s: %s", plural(len(list), "partition"), wrong, s.some(list))
}
