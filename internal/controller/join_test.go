package controller

import (
	"slices"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

func nodeAt(id uint16) []metadata.Endpoint {
	return []metadata.Endpoint{{Name: "NODE", Host: "h", Port: id}}
}

// silent is a quorum in which all but some members are well.
func silent(ids ...byte) follows {
	return func(d model.UUID) (answers, caught bool) {
		well := !slices.Contains(ids, d[0])
		return well, well
	}
}

// members is an image with two voters, a learner, and a broker that is no member.
func members(t *testing.T) *metadata.Image {
	t.Helper()
	img, _, err := metadata.Empty("c").Apply(1, metadata.BootstrapRecords(

		voterRecord(1, model.UUID{1}, false, nodeAt(1)), voterRecord(2, model.UUID{2}, false, nodeAt(2)), voterRecord(3, model.UUID{3}, true, nodeAt(3))))
	if err == nil {
		img, _, err = img.Apply(2, []metadata.Record{(&metadata.Broker{ID: 8, Epoch: 1, Dirs: []model.UUID{{8}}}).Record(), (&metadata.Broker{ID: 2, Epoch: 2}).Record()})
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestM6JoinGivesAPlaceToADirectory: a node that lost its disk is somebody else, whatever it calls itself.
func TestM6JoinGivesAPlaceToADirectory(t *testing.T) {
	img := members(t)
	moved := nodeAt(7)
	for _, c := range []struct {
		name string
		Join
		id      model.BrokerID
		learner bool
		records int
		code    model.ErrorCode
		silent  byte
	}{
		{"new", Join{DirectoryID: model.UUID{9}, ID: -1}, 9, true, 1, 0, 0},
		{"new with an id", Join{DirectoryID: model.UUID{9}, ID: 5}, 5, true, 1, 0, 0},
		{"again", Join{DirectoryID: model.UUID{3}, ID: -1, Endpoints: nodeAt(3)}, 3, true, 0, 0, 0},
		{"voter that moved", Join{DirectoryID: model.UUID{2}, ID: 2, Endpoints: moved}, 2, false, 1, 0, 0},
		{"id of a voter that was heard of just now", Join{DirectoryID: model.UUID{9}, ID: 2, Endpoints: nodeAt(2)}, 0, false, 0, model.RequestTimedOut, 0},
		{"id of a silent voter, elsewhere", Join{DirectoryID: model.UUID{9}, ID: 2, Endpoints: moved}, 0, false, 0, model.DuplicateBrokerRegistration, 2},
		{"wiped voter with its id", Join{DirectoryID: model.UUID{9}, ID: 2, Endpoints: nodeAt(2)}, 2, true, 2, 0, 2},
		{"wiped voter without an id", Join{DirectoryID: model.UUID{9}, ID: -1, Endpoints: nodeAt(2)}, 9, true, 1, 0, 2},
		{"wiped learner", Join{DirectoryID: model.UUID{9}, ID: -1, Endpoints: nodeAt(3)}, 9, true, 2, 0, 3},
		{"id of a broker", Join{DirectoryID: model.UUID{9}, ID: 8}, 0, false, 0, model.DuplicateBrokerRegistration, 0},
		{"broker that lost its vote", Join{DirectoryID: model.UUID{8}, ID: 8}, 8, true, 1, 0, 0},
		{"no directory", Join{ID: -1}, 0, false, 0, model.InvalidRequest, 0},
		{"directory of another", Join{DirectoryID: model.UUID{3}, ID: 4}, 0, false, 0, model.InconsistentVoterSet, 0},
	} {
		records, id, out := admit(img, &c.Join, silent(c.silent))
		if id != c.id || len(records) != c.records || out.Code != c.code {
			t.Errorf("%s: id %d, %d records, %v", c.name, id, len(records), out)
			continue
		}
		if c.records > 0 && records[len(records)-1].(*metadata.VoterRecord).Learner != c.learner {
			t.Errorf("%s: learner is %t", c.name, !c.learner)
		}
	}
}

func TestUnregisteringTakesANodeOutOfTheQuorum(t *testing.T) {
	img := members(t)
	records, out := unregisterBroker(&electorate{img: img, settled: map[model.BrokerID]bool{}}, 2, silent())
	next, _, err := img.Apply(3, records)
	if !out.OK() || err != nil || len(next.Voters()) != 2 || next.Broker(2) != nil {
		t.Errorf("%v %v: %d members", out, err, len(next.Voters()))
	}
	if next, _, err = next.Apply(4, []metadata.Record{(&metadata.Broker{ID: 1, Epoch: 4}).Record()}); err != nil {
		t.Fatal(err)
	}
	if _, out := unregisterBroker(&electorate{img: next, settled: map[model.BrokerID]bool{}}, 1, silent()); out.Code != model.InvalidRequest {
		t.Errorf("the last voter: %v", out)
	}
}

// TestRestartOnTheSameDiskNeedNotWait: two living processes cannot hold one data directory and one address.
func TestRestartOnTheSameDiskNeedNotWait(t *testing.T) {
	img := members(t)
	place := []metadata.Endpoint{{Name: "PLAINTEXT", Host: "h", Port: 9092}}
	old := metadata.Broker{ID: 5, Epoch: 5, Incarnation: model.UUID{1}, Dirs: []model.UUID{{5}}, Endpoints: place}
	img, _, err := img.Apply(5, []metadata.Record{old.Record()})
	if err != nil {
		t.Fatal(err)
	}
	alive := func(model.BrokerID) bool { return true }
	for _, c := range []struct {
		dirs      []model.UUID
		endpoints []metadata.Endpoint
		code      model.ErrorCode
	}{
		{old.Dirs, place, 0},
		{[]model.UUID{{6}}, place, model.DuplicateBrokerRegistration},
		{old.Dirs, []metadata.Endpoint{{Name: "PLAINTEXT", Host: "h", Port: 9192}}, model.DuplicateBrokerRegistration}, // a copied disk
	} {
		_, _, out := registerBroker(&electorate{img: img, settled: map[model.BrokerID]bool{}}, &Registration{
			ClusterID: "c", ID: 5, Incarnation: model.UUID{2}, Dirs: c.dirs, Endpoints: c.endpoints, Features: metadata.SupportedFeatures(),
		}, alive)
		if out.Code != c.code {
			t.Errorf("%v %v: %v", c.dirs, c.endpoints, out)
		}
	}
}

// late is a clock whose timers come late, as after a pause of the whole process.
type late struct {
	clock.Clock
	run func()
	now time.Time
}

func (l *late) Now() time.Time { return l.now }

func (l *late) AfterFunc(_ time.Duration, f func()) clock.Timer {
	l.run = f
	return clock.NewManual(l.now).AfterFunc(0, func() {})
}

// TestPausedControllerFencesNobody: it did not listen, so nobody was silent.
func TestPausedControllerFencesNobody(t *testing.T) {
	l := newFakeLog(t)
	pause := &late{now: time.Unix(1000, 0)}
	c := startController(t, l, pause)
	l.lead(1)
	mustRegister(t, c, 1)
	mustRegister(t, c, 2)
	settle(t, c)
	pause.now = pause.now.Add(30 * time.Second)
	pause.run()
	settle(t, c)
	if l.Image().Broker(2).Fenced {
		t.Fatal("fenced by a controller that had slept")
	}
	pause.now = pause.now.Add(10 * time.Second)
	pause.run()
	settle(t, c)
	if !l.Image().Broker(2).Fenced {
		t.Fatal("not fenced although it was silent after that, too")
	}
}

// TestIDsAreGivenAwayOnce: the highest id went to the next newcomer when its node was unregistered, and the disk of that node could come back. A snapshot knows
// it too.
func TestIDsAreGivenAwayOnce(t *testing.T) {
	img, _, err := members(t).Apply(3, []metadata.Record{&metadata.UnregisterBroker{BrokerID: 8, BrokerEpoch: 1}, &metadata.RemoveVoter{NodeID: 3, DirectoryID: model.UUID{3}}})
	if err != nil {
		t.Fatal(err)
	}
	r := metadata.NewReplay(metadata.Empty("c"))
	for rec := range img.Records() {
		if err := r.Add(img.Offset, []metadata.Record{rec}); err != nil {
			t.Fatal(err)
		}
	}
	restored, _ := r.Done()
	for what, img := range map[string]*metadata.Image{"replayed": img, "from a snapshot": restored} {
		if _, id, out := admit(img, &Join{DirectoryID: model.UUID{9}, ID: model.NoBroker}, silent()); id != 9 || !out.OK() {
			t.Errorf("%s: id %d, %v", what, id, out)
		}
		// Who is configured with an id that is free may have it.
		if _, id, out := admit(img, &Join{DirectoryID: model.UUID{9}, ID: 8}, silent()); id != 8 || !out.OK() {
			t.Errorf("%s: id %d, %v", what, id, out)
		}
	}
}
