package controller

import (
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// quorumOf is an image with voters 1 to n and a learner 9.
func quorumOf(t *testing.T, n byte) *metadata.Image {
	t.Helper()
	records := []*metadata.VoterRecord{voterRecord(9, model.UUID{9}, true, nodeAt(9))}
	for id := byte(1); id <= n; id++ {
		records = append(records, voterRecord(model.BrokerID(id), model.UUID{id}, false, nodeAt(uint16(id))))
	}
	img, _, err := metadata.Empty("c").Apply(1, metadata.BootstrapRecords(records...))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestAddVoter(t *testing.T) {
	img := quorumOf(t, 3)
	for _, c := range []struct {
		name   string
		key    VoterKey
		silent byte
		code   model.ErrorCode
		says   string
	}{
		{"a learner", VoterKey{9, model.UUID{9}}, 0, 0, ""},
		{"a learner that is behind", VoterKey{9, model.UUID{9}}, 9, model.RequestTimedOut, "since it is lagging behind"},
		{"a voter", VoterKey{2, model.UUID{2}}, 0, model.DuplicateVoter, "is already part of the set of voters [ReplicaKey(id=1,"},
		{"a voter's id", VoterKey{2, model.UUID{7}}, 0, model.DuplicateVoter, "is already part"},
		{"nobody", VoterKey{7, model.UUID{7}}, 0, model.InvalidRequest, "--join"},
		{"another id", VoterKey{7, model.UUID{9}}, 0, model.InvalidRequest, "is that of node 9"},
	} {
		records, out := addVoter(img, c.key, silent(c.silent))
		if out.Code != c.code || !strings.Contains(out.Message, c.says) || (len(records) == 1) != out.OK() {
			t.Errorf("%s: %d records, %v", c.name, len(records), out)
		}
	}
}

// TestRemoveVoterKeepsAQuorumThatLives: Kafka takes any voter out, and the cluster may never decide anything again.
func TestRemoveVoterKeepsAQuorumThatLives(t *testing.T) {
	for _, c := range []struct {
		name   string
		voters byte
		key    VoterKey
		silent []byte
		code   model.ErrorCode
	}{
		{"one of three", 3, VoterKey{2, model.UUID{2}}, nil, 0},
		{"the dead one of three", 3, VoterKey{2, model.UUID{2}}, []byte{2}, 0},
		{"one of three while another is dead", 3, VoterKey{2, model.UUID{2}}, []byte{3}, model.InvalidRequest},
		{"one of four while another is dead", 4, VoterKey{2, model.UUID{2}}, []byte{3}, 0},
		{"one of five while two are dead", 5, VoterKey{2, model.UUID{2}}, []byte{3, 4}, model.InvalidRequest},
		{"one of two", 2, VoterKey{2, model.UUID{2}}, nil, 0},
		{"the last", 1, VoterKey{1, model.UUID{1}}, nil, model.VoterNotFound},
		{"a learner", 3, VoterKey{9, model.UUID{9}}, nil, model.VoterNotFound},
		{"another directory", 3, VoterKey{2, model.UUID{7}}, nil, model.VoterNotFound},
	} {
		img := quorumOf(t, c.voters)
		records, out := removeVoter(img, c.key, silent(c.silent...))
		if out.Code != c.code || (len(records) == 1) != out.OK() {
			t.Errorf("%s: %d records, %v", c.name, len(records), out)
			continue
		}
		if !out.OK() {
			if out.Message == "" {
				t.Errorf("%s: no reason", c.name)
			}
			continue
		}
		next, _, err := img.Apply(2, records)
		if err != nil {
			t.Fatal(err)
		}
		v := memberOf(next, c.key.DirectoryID)
		if dead := len(c.silent) > 0 && c.silent[0] == c.key.DirectoryID[0]; dead != (v == nil) || v != nil && (!v.Learner || !v.Held) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

// TestReplaceVoter: only a silent voter, by what came back at its address.
func TestReplaceVoter(t *testing.T) {
	img := quorumOf(t, 3)
	img, _, err := img.Apply(2, []metadata.Record{voterRecord(10, model.UUID{10}, true, nodeAt(3))})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		lost, heir byte
		silent     byte
		records    int
		code       model.ErrorCode
	}{
		{"wiped", 3, 10, 3, 2, 0},
		{"lives", 3, 10, 0, 0, model.RequestTimedOut},
		{"heir is behind", 3, 10, 10, 0, model.RequestTimedOut},
		{"elsewhere", 2, 10, 2, 0, 0},
		{"a stranger", 3, 11, 3, 0, 0},
	} {
		records, out := replaceVoter(img, model.UUID{c.lost}, model.UUID{c.heir}, silent(c.silent))
		if len(records) != c.records || out.Code != c.code {
			t.Errorf("%s: %d records, %v", c.name, len(records), out)
		}
	}
}
