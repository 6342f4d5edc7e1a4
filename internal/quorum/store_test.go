package quorum

import (
	"path"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/vfs"
)

// TestLogGoesOnBehindASnapshotThatACrashLeft: a crash between writing the leader's snapshot and beginning the log behind it leaves a log that does not
// lead to the snapshot. What the next process appended to it was damage to the one after that ("entry 29 where 1 is next"), or was forgotten.
func TestLogGoesOnBehindASnapshotThatACrashLeft(t *testing.T) {
	entry := func(term, index uint64) *pb.Entry {
		kind := pb.EntryNormal
		return &pb.Entry{Term: &term, Index: &index, Type: &kind, Data: []byte{byte(index)}}
	}
	for _, tc := range []struct {
		name string
		join bool
		had  []*pb.Entry
	}{
		{"nothing", true, nil},
		{"less", false, []*pb.Entry{entry(1, 2), entry(1, 3)}},
		{"others in their place", false, []*pb.Entry{entry(1, 2), entry(1, 3), entry(1, 4), entry(1, 5), entry(1, 6)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := vfs.NewMem(1)
			o := testOptions(disk)
			o.Join = tc.join
			again := func() (*store, *opened) {
				t.Helper()
				s, found, err := openStore(o)
				if err != nil {
					t.Fatal(err)
				}
				s.disk = newReserve(o.FS, o.Dir, o.ReserveBytes)
				return s, found
			}
			save := func(s *store, term, vote uint64, entries ...*pb.Entry) {
				t.Helper()
				commit := uint64(1)
				rd := raft.Ready{Entries: entries, HardState: &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}, MustSync: true}
				if err := s.save(&rd); err != nil {
					t.Fatal(err)
				}
			}
			shut := func(s *store) {
				t.Helper()
				if err := s.close(); err != nil {
					t.Fatal(err)
				}
			}
			s, _ := again()
			save(s, 2, 9, tc.had...)
			shut(s)
			img, _, err := metadata.Empty(o.Identity.ClusterID).Apply(5, metadata.BootstrapRecords(o.Founders[0].record()))
			if err != nil {
				t.Fatal(err)
			}
			at := snapshotHead{Index: 5, Term: 2, ClusterID: o.Identity.ClusterID, Conf: &pb.ConfState{Voters: []uint64{o.Identity.voterID()}}}
			if _, err := writeSnapshot(disk, o.Dir, at, img); err != nil {
				t.Fatal(err)
			}
			// The crash is here.
			s, found := again()
			if found.snapshot.Index != 5 || s.hard.GetTerm() != 2 || s.hard.GetVote() != 9 {
				t.Fatalf("snapshot %d, term %d, vote %d", found.snapshot.Index, s.hard.GetTerm(), s.hard.GetVote())
			}
			save(s, 3, 8, entry(3, 6))
			shut(s)
			s, _ = again()
			defer shut(s)
			if last, err := s.mem.LastIndex(); err != nil || last != 6 {
				t.Fatalf("the log ends at %d, %v", last, err)
			}
			if term, err := s.mem.Term(6); err != nil || term != 3 || s.hard.GetVote() != 8 {
				t.Fatalf("entry 6 is of term %d, vote %d, %v", term, s.hard.GetVote(), err)
			}
			if _, err := disk.Stat(path.Join(o.Dir, snapshotName(5))); err != nil {
				t.Fatal(err)
			}
		})
	}
}
