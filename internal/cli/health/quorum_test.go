package health

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestAdviceSaysWhatCannotBeLost(t *testing.T) {
	m := func(id int32, role string, heard int64) Member { return Member{ID: id, Role: role, HeardMs: heard} }
	for _, c := range []struct {
		name    string
		members []Member
		want    []string
	}{
		{"alone", []Member{m(1, "leader", 0)}, nil},
		{"three", []Member{m(1, "leader", 0), m(2, "voter", 10), m(3, "voter", 10)}, nil},
		{"one silent", []Member{m(1, "leader", 0), m(2, "voter", 10), m(3, "voter", -1)}, []string{"node 3 (voter) is silent", "2 of 3 voters answer"}},
		{"five, one silent", []Member{m(1, "leader", 0), m(2, "voter", 1), m(3, "voter", 5000), m(4, "voter", 1), m(5, "voter", 1)}, []string{"node 3 (voter) is silent"}},
		{"two", []Member{m(1, "leader", 0), m(2, "voter", 10)}, []string{"2 of 2 voters answer: if one more is lost"}},
		{"learner silent", []Member{m(1, "leader", 0), m(4, "learner", 60000)}, []string{"node 4 (learner) is silent: bring it back, or, if it is gone for good, klamm broker decommission 4"}},
	} {
		got := (&Quorum{Members: c.members}).Advice()
		if len(c.want) == 0 && got != "" || strings.Count(got, "\n") != len(c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q lacks %q", c.name, got, w)
			}
		}
	}
}

func TestMissingReplicasAreNamed(t *testing.T) {
	p := kadm.PartitionDetail{Topic: "t", Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1}, OfflineReplicas: []int32{2}}
	if got := missingReplicas(p); got != "broker 2 is away, broker 3 is not in sync" {
		t.Error(got)
	}
}
