package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// told is what is said of one change of a topic's first n partitions.
func told(t *testing.T, n int, why cause, old, now metadata.Partition) []event.Event {
	t.Helper()
	id := model.TopicID{1}
	records := []metadata.Record{&metadata.TopicRecord{TopicID: id, Name: "t"}}
	for i := range n {
		records = append(records, old.Record(id, int32(i)))
	}
	img, _, err := metadata.Empty("c").Apply(1, records)
	if err != nil {
		t.Fatal(err)
	}
	var after []metadata.Record
	for i := range n {
		c := changeOf(img.Topic("t"), int32(i))
		c.next = now
		after = append(after, c.record())
	}
	next, d, err := img.Apply(2, after)
	if err != nil {
		t.Fatal(err)
	}
	return tell(img, next, d, why)
}

func ids(list ...model.BrokerID) []model.BrokerID { return list }

func TestEventsSayWhatHappenedAndWhy(t *testing.T) {
	part := func(leader model.BrokerID, replicas, isr []model.BrokerID) metadata.Partition {
		return metadata.Partition{Leader: leader, Replicas: replicas, ISR: isr}
	}
	all := ids(1, 2, 3)
	why := cause{reason: "silent", text: "broker 1 is fenced, no heartbeat for 9s"}
	lost := cause{lost: map[lostMember]cause{{model.TopicIDPartition{ID: model.TopicID{1}}, 3}: {reason: "silent", text: "no fetch for 30s"}}}
	moving := part(1, ids(1, 2, 3, 4), all)
	moving.Adding, moving.Removing = ids(4), ids(1)
	for _, c := range []struct {
		name     string
		n        int
		why      cause
		old, now metadata.Partition
		want     string
	}{
		{"leader fenced", 1, why, part(1, all, all), part(2, all, ids(2, 3)), "leader-moved/silent: leader moved from 1 to 2 for t-0: broker 1 is fenced, no heartbeat for 9s" +
			"\nisr-left/silent: broker 1 left the ISR of t-0: broker 1 is fenced, no heartbeat for 9s"},
		{"follower lags", 1, lost, part(1, all, all), part(1, all, ids(1, 2)), "isr-left/silent: broker 3 left the ISR of t-0: no fetch for 30s"},
		{"follower is back", 1, cause{}, part(1, all, ids(1, 2)), part(1, all, all), "isr-entered/caught up: broker 3 entered the ISR of t-0: it has caught up"},
		{"offline", 1, why, part(1, all, ids(1)), part(model.NoBroker, all, nil), "partition-offline/silent: no leader, after broker 1, for t-0: broker 1 is fenced, no heartbeat for 9s" +
			"\nisr-left/silent: broker 1 left the ISR of t-0: broker 1 is fenced, no heartbeat for 9s"},
		{"unclean", 1, cause{reason: "order", text: "ordered by an administrator"}, part(model.NoBroker, all, nil), part(2, all, ids(2)),
			"leader-unclean/order: unclean election of broker 2, which may lack acknowledged records, for t-0: ordered by an administrator"},
		{"reassignment", 1, cause{reason: "order"}, part(1, all, all), moving, "reassignment-begun/order: reassignment begun of t-0"},
		{"reassigned", 1, cause{}, moving, part(2, ids(2, 3, 4), ids(2, 3, 4)), "leader-moved/: leader moved from 1 to 2 for t-0\nisr-entered/caught up: broker 4 entered the ISR of t-0: it has caught up" +
			"\nreassignment-ended/done: reassignment done of t-0"},
		{"cancelled", 1, cause{}, moving, part(1, all, all), "reassignment-ended/cancelled: reassignment cancelled of t-0"},
		{"many", 1000, why, part(1, all, ids(1, 2)), part(2, all, ids(2)), "leader-moved/silent: leader moved from 1 to 2 for t-0, t-1, t-2, t-3, t-4 and 995 more: broker 1 is fenced, no heartbeat for 9s" +
			"\nisr-left/silent: broker 1 left the ISR of t-0, t-1, t-2, t-3, t-4 and 995 more: broker 1 is fenced, no heartbeat for 9s"},
	} {
		var got []string
		for _, e := range told(t, c.n, c.why, c.old, c.now) {
			got = append(got, fmt.Sprintf("%s/%s: %s", e.Kind, e.Reason, e.Text))
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, s, c.want)
		}
	}
}

func TestLostMembersSayHow(t *testing.T) {
	q := &AlterISR{Partitions: []ProposedISR{{Lost: []Lost{
		{ID: 2, Silent: 30 * time.Second, Behind: 30 * time.Second, Records: 5}, {ID: 3, Silent: time.Second, Behind: 30 * time.Second, Records: 12},
	}}}}
	got := lostCauses(q)
	if c := got[lostMember{id: 2}]; c.reason != "silent" || c.text != "no fetch for 30s" {
		t.Errorf("%+v", c)
	}
	if c := got[lostMember{id: 3}]; c.reason != "slow" || c.text != "12 records behind its leader for 30s" {
		t.Errorf("%+v", c)
	}
}

// TestOnlyWhatIsCommittedIsTold: a decision that came to nothing did not happen.
func TestOnlyWhatIsCommittedIsTold(t *testing.T) {
	l := newFakeLog(t)
	var got []event.Event
	c := startController(t, l, clock.Real(), func(o *Options) { o.Tell = func(e event.Event) { got = append(got, e) } })
	l.lead(1)
	mustRegister(t, c, 2)
	l.set(false, model.NotController.Err())
	if _, err := c.RegisterBroker(t.Context(), registration(3, 1)); err == nil {
		t.Fatal("registered")
	}
	l.set(false, nil)
	mustRegister(t, c, 4)
	c.Close()
	var said []string
	for _, e := range got {
		said = append(said, fmt.Sprintf("%s %d by %d", e.Kind, e.Broker, e.Node))
	}
	if s := strings.Join(said, ", "); s != "controller-active 1 by 1, broker-registered 2 by 1, broker-registered 4 by 1" {
		t.Error(s)
	}
}
