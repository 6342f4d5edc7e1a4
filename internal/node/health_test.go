package node

import (
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

func TestNotesNameWhatIsWrongAndWhy(t *testing.T) {
	id := model.TopicID{1}
	records := []metadata.Record{
		(&metadata.Broker{ID: 1, Epoch: 1}).Record(), (&metadata.Broker{ID: 2, Epoch: 2, Fenced: true}).Record(), (&metadata.Broker{ID: 3, Epoch: 3}).Record(),
		&metadata.TopicRecord{TopicID: id, Name: "t"},
	}
	of := func(list ...model.BrokerID) []model.BrokerID { return list }
	for i, p := range []metadata.Partition{
		{Leader: 1, Replicas: of(1, 2, 3), ISR: of(1)},
		{Leader: model.NoBroker, Replicas: of(2, 4), LastKnownELR: of(2)},
		{Leader: 3, Replicas: of(1, 3), ISR: of(1, 3)},
		{Leader: 1, Replicas: of(1, 3), ISR: of(1), Adding: of(3)},
	} {
		records = append(records, p.Record(id, int32(i)))
	}
	img, _, err := metadata.Empty("c").Apply(1, records)
	if err != nil {
		t.Fatal(err)
	}
	a := ail(img, func(string) int { return 2 })
	for _, c := range []struct {
		got  string
		want []string
	}{
		{a.offline.note("", "", "off").Detail, []string{"1 off: t-1 (broker 2 is fenced, broker 4 is not registered)"}},
		{a.underMinISR.note("", "", "low").Detail, []string{"3 low: t-0 (1 in sync of the 2 it takes; broker 2 is fenced, broker 3 catches up)", "t-1 (0 in sync", "broker 3 is being filled"}},
		{a.under.note("", "", "under").Detail, []string{"2 under: t-0 (broker 2 is fenced, broker 3 catches up), t-1"}},
		{a.skew(img).Detail, []string{"1 partitions not led by their preferred replica: t-2 (3 leads, not 1); leaders by broker 1: 2, 3: 1"}},
	} {
		for _, w := range c.want {
			if !strings.Contains(c.got, w) {
				t.Errorf("%q lacks %q", c.got, w)
			}
		}
	}
}
