package health

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/connect"
)

// State is a cluster as Kafka's protocol shows it.
type State struct {
	ID              string            `json:"id"`
	Controller      int32             `json:"controller"`
	Brokers         []Broker          `json:"brokers"`
	Topics          int               `json:"topics"`
	Partitions      int               `json:"partitions"`
	Offline         []string          `json:"offline_partitions"`          // without a leader
	UnderMinISR     []string          `json:"under_min_isr_partitions"`    // fewer in sync than min.insync.replicas: no acks=all
	UnderReplicated []string          `json:"under_replicated_partitions"` // fewer in sync than replicas
	NotPreferred    []string          `json:"not_preferred_leader_partitions"`
	Reasons         map[string]string `json:"reasons"` // by partition
	// Skewed says which brokers lead far fewer partitions than prefer them.
	Skewed []string `json:"-"`
}

// Broker is one broker of a State.
type Broker struct {
	ID         int32  `json:"id"`
	Address    string `json:"address"`
	Rack       string `json:"rack,omitempty"`
	Controller bool   `json:"controller"`
	Leaders    int    `json:"leaders"`
	Replicas   int    `json:"replicas"`
}

// skewPercent is how many of a broker's preferred partitions others may lead, as leader.imbalance.per.broker.percentage.
const skewPercent = 10

// Read asks the cluster.
func Read(ctx context.Context, adm *connect.Cluster) (State, error) {
	m, err := adm.Metadata(ctx)
	if err != nil {
		return State{}, err
	}
	s := State{
		ID: m.Cluster, Controller: m.Controller, Brokers: []Broker{}, Offline: []string{}, UnderMinISR: []string{}, UnderReplicated: []string{}, NotPreferred: []string{},
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
			s.Skewed = append(s.Skewed, fmt.Sprintf("broker %d leads %d of the %d that prefer it", b.NodeID, preferred[b.NodeID]-n, preferred[b.NodeID]))
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
func (s *State) findUnderMinISR(ctx context.Context, adm *connect.Cluster, short map[string][]kadm.PartitionDetail) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(short)), configsAtOnce) {
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

// Some names the first partitions of a list, with reasons.
func (s *State) Some(list []string) string {
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

func summaryOf(b kadm.BrokerDetail, controller int32, leaders, replicas map[int32]int) Broker {
	s := Broker{ID: b.NodeID, Address: net.JoinHostPort(b.Host, fmt.Sprint(b.Port)), Controller: b.NodeID == controller, Leaders: leaders[b.NodeID], Replicas: replicas[b.NodeID]}
	if b.Rack != nil {
		s.Rack = *b.Rack
	}
	return s
}
