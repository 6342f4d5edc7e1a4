package controller

import (
	"slices"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// disks is a cluster of three brokers with two directories each, and a topic with a partition on 1, 2, 3, and one on 1 alone.
func disks(t *testing.T) (*script, func(p int32) *metadata.Partition) {
	t.Helper()
	s := newScript(t)
	var out strings.Builder
	for id := range model.BrokerID(3) {
		s.registerWith(&out, id+1, []model.UUID{{byte(id + 1), 1}, {byte(id + 1), 2}}, false)
	}
	s.create(&out, parseWords("create t assign=1,2,3;1,2,3"))
	moved, _ := reassign(s.electorate(), &Reassignments{Partitions: []Reassign{{TopicPartition: model.TopicPartition{Topic: "t", Partition: 1}, Replicas: []model.BrokerID{1}}}})
	s.apply(&out, moved)
	if s.img.Topic("t") == nil || len(s.img.Topic("t").Partitions) != 2 {
		t.Fatal(out.String())
	}
	return s, func(p int32) *metadata.Partition { return &s.img.Topic("t").Partitions[p] }
}

func (s *script) registerWith(out *strings.Builder, id model.BrokerID, dirs []model.UUID, offline bool) {
	r := &Registration{ClusterID: "cluster", ID: id, Incarnation: model.UUID{byte(id), byte(s.img.Offset)}, PreviousEpoch: -1, Dirs: dirs, DirsOffline: offline,
		Features: metadata.SupportedFeatures()}
	if b := s.img.Broker(id); b != nil {
		r.PreviousEpoch = b.Epoch
	}
	records, _, o := registerBroker(s.electorate(), r, func(model.BrokerID) bool { return false })
	say(out, "register", o)
	s.apply(out, records)
}

func (s *script) assign(id model.BrokerID, p int32, dir model.UUID) {
	records := assignDirs(s.img, &AssignDirs{Broker: id, Partitions: []AssignedDir{{model.TopicIDPartition{ID: s.img.Topic("t").ID, Partition: p}, dir}}})
	if len(records) > 0 {
		s.apply(nil, records)
	}
}

func (s *script) lose(id model.BrokerID, dir model.UUID) {
	b := s.img.Broker(id)
	records, _ := heartbeat(s.electorate(), &Heartbeat{ID: id, Epoch: b.Epoch, Offset: s.img.Offset, OfflineDirs: []model.UUID{dir}})
	if len(records) > 0 {
		s.apply(nil, records)
	}
}

func TestDirectoriesAreWrittenDown(t *testing.T) {
	s, p := disks(t)
	s.assign(2, 0, model.UUID{2, 2})
	if got := p(0).Dirs; !slices.Equal(got, []model.UUID{{}, {2, 2}, {}}) {
		t.Fatal(got)
	}
	before := s.img.Offset
	s.assign(2, 0, model.UUID{2, 2}) // nothing new
	s.assign(2, 1, model.UUID{2, 2}) // no replica there
	s.assign(2, 9, model.UUID{2, 2}) // no such partition
	if s.img.Offset != before {
		t.Fatal("records of nothing")
	}
}

// TestLostDirectoryLeadsNoMore: a disk of a broker fails that goes on living (KIP-112, KIP-858).
func TestLostDirectoryLeadsNoMore(t *testing.T) {
	s, p := disks(t)
	s.assign(1, 0, model.UUID{1, 1})
	s.assign(1, 1, model.UUID{1, 1})
	s.lose(1, model.UUID{1, 2}) // the other one
	if p(0).Leader != 1 || p(1).Leader != 1 {
		t.Fatalf("%+v %+v", p(0), p(1))
	}
	s.lose(1, model.UUID{1, 1})
	if p(0).Leader != 2 || slices.Contains(p(0).ISR, 1) || slices.Contains(p(0).ELR, 1) {
		t.Fatalf("%+v", p(0))
	}
	if p(1).Leader != model.NoBroker || len(p(1).ISR) != 0 {
		t.Fatalf("who has lost everything leads: %+v", p(1))
	}
	before := s.img.Offset
	s.lose(1, model.UUID{1, 1}) // as every heartbeat says
	if s.img.Offset != before {
		t.Fatal("the same failure twice")
	}
	// An unclean election may not choose what is not there.
	if _, out := electOne(s.electorate(), ElectUnclean, s.img.Topic("t"), 1); out.Code != model.EligibleLeadersNotAvailable {
		t.Fatal(out)
	}
	// The disk is repaired.
	var out strings.Builder
	s.registerWith(&out, 1, []model.UUID{{1, 1}, {1, 2}}, false)
	if p(1).Leader != 1 || p(1).Dirs[0] != (model.UUID{1, 1}) {
		t.Fatalf("%+v", p(1))
	}
}

// TestBrokenDirectoryAtStartIsWaitedFor: what is in it is not begun anew elsewhere, but what is in a directory that was taken out of the
// configuration is.
func TestBrokenDirectoryAtStartIsWaitedFor(t *testing.T) {
	s, p := disks(t)
	s.assign(1, 0, model.UUID{1, 1})
	s.assign(1, 1, model.UUID{1, 1})
	var out strings.Builder
	s.registerWith(&out, 1, []model.UUID{{1, 2}}, true)
	if p(0).Leader != 2 || p(0).Dirs[0] != (model.UUID{1, 1}) || p(1).Leader != model.NoBroker || p(1).Dirs[0] != (model.UUID{1, 1}) {
		t.Fatalf("%+v %+v", p(0), p(1))
	}
	s.registerWith(&out, 1, []model.UUID{{1, 2}}, false)
	if p(0).Dirs[0] != (model.UUID{1, 2}) {
		t.Fatalf("%+v", p(0))
	}
}
