package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// firstIndex is the entry that the first snapshot of a new cluster stands for. It holds what every log begins with.
const (
	firstIndex = 1
	firstTerm  = 1
)

// offsetOf is the metadata offset of a raft entry: they are the same number.
func offsetOf(index uint64) model.Offset { return model.Offset(index) }

// voterID is how raft knows a voter. It is drawn from the directory's id, so that a wiped voter is another one to raft as well.
func (id Identity) voterID() uint64 {
	n := binary.BigEndian.Uint64(id.DirectoryID[:]) >> 1 // raft keeps the largest numbers for itself
	return max(n, 1)
}

// store is the metadata log on disk together with what raft reads of it in memory. The driver alone uses it, but for memory,
// which has a lock of its own.
type store struct {
	fs   vfs.FS
	dir  string
	id   Identity
	log  *logFile
	mem  *raft.MemoryStorage // entries behind the last snapshot; its snapshot has no data, that stays on disk
	hard *pb.HardState       // the newest, written or not
	disk *reserve
	base uint64 // the entry of the newest snapshot that the log was cut behind or begun with
}

// opened is what a directory held.
type opened struct {
	voters   []*metadata.Voter // of the snapshot
	replay   *metadata.Replay  // at the snapshot; nil when there is none yet
	snapshot snapshotHead
	size     int64 // of the snapshot in bytes
	cut      int64 // bytes of a torn tail
	formed   bool  // the cluster was formed just now
}

// openStore reads the directory, or forms a new cluster in it, or prepares it to be told of one.
func openStore(o Options) (*store, *opened, error) {
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, nil, err
	}
	s := &store{fs: o.FS, dir: o.Dir, id: o.Identity, mem: raft.NewMemoryStorage()}
	log, content, err := openLog(o.FS, o.Dir)
	formed := false
	if errors.Is(err, fs.ErrNotExist) {
		if o.MustExist {
			return nil, nil, fmt.Errorf("%w: %s is missing, but this node holds partitions; put the directory back, or start with empty data directories",
				ErrCorrupt, path.Join(o.Dir, logName))
		}
		if err := s.form(o); err != nil {
			return nil, nil, err
		}
		formed = true
		log, content, err = openLog(o.FS, o.Dir)
	}
	if err != nil {
		return nil, nil, err
	}
	s.log = log
	found, err := s.load(content)
	if err != nil {
		return nil, nil, errors.Join(err, log.close())
	}
	found.formed = formed
	return s, found, nil
}

// form writes the first snapshot and an empty log behind it. The log comes last: without it nothing was formed.
func (s *store) form(o Options) error {
	snapshots, err := listSnapshots(s.fs, s.dir)
	if err != nil {
		return err
	}
	if len(snapshots) > 0 && snapshots[0] > firstIndex {
		return fmt.Errorf("%w: %s is missing, but not %s", ErrCorrupt, path.Join(s.dir, logName), snapshotName(snapshots[0]))
	}
	if o.Join {
		return s.begin(logBase{Identity: s.id})
	}
	var voters []*metadata.VoterRecord
	conf := &pb.ConfState{}
	for _, m := range o.Founders {
		voters = append(voters, m.record())
		conf.Voters = append(conf.Voters, m.raftID())
	}
	img, _, err := metadata.Empty(s.id.ClusterID).Apply(firstIndex, metadata.BootstrapRecords(voters...))
	if err != nil {
		return err
	}
	head := snapshotHead{Index: firstIndex, Term: firstTerm, ClusterID: s.id.ClusterID, Conf: conf}
	// The directory itself must not be forgotten, or all in it would be.
	if err := s.fs.SyncDir(path.Dir(s.dir)); err != nil {
		return err
	}
	if _, err := writeSnapshot(s.fs, s.dir, head, img); err != nil {
		return err
	}
	return s.begin(logBase{s.id, firstIndex, firstTerm})
}

// begin creates an empty log.
func (s *store) begin(base logBase) error {
	if err := s.fs.SyncDir(path.Dir(s.dir)); err != nil {
		return err
	}
	log, err := createLog(s.fs, s.dir, base, func(*logFile) {})
	if err != nil {
		return err
	}
	return log.close()
}

// load checks the identity and fills memory from the newest snapshot and the log behind it.
func (s *store) load(content *logContent) (*opened, error) {
	if content.base.Identity != s.id {
		b := content.base
		return nil, fmt.Errorf("%w: %s is of node %d (directory %s) in cluster %q, this is node %d (directory %s) in cluster %q",
			ErrWrongDirectory, s.dir, b.NodeID, b.DirectoryID, b.ClusterID, s.id.NodeID, s.id.DirectoryID, s.id.ClusterID)
	}
	found, err := s.loadSnapshot(content.base.Index)
	if err != nil {
		return nil, err
	}
	found.cut = content.cut
	at := found.snapshot
	s.base = at.Index
	if at.Index > 0 {
		if err := s.mem.ApplySnapshot(&pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &at.Index, Term: &at.Term, ConfState: at.Conf}}); err != nil {
			return nil, err
		}
	}
	if err := s.mem.Append(content.behind(at)); err != nil {
		return nil, err
	}
	s.hard = content.state
	if s.hard == nil {
		s.hard = &pb.HardState{}
	}
	// The commit index is only written along with other things, and a snapshot holds nothing that was not committed.
	commit, term := max(s.hard.GetCommit(), at.Index), max(s.hard.GetTerm(), at.Term)
	s.hard = &pb.HardState{Term: &term, Vote: s.hard.Vote, Commit: &commit}
	if !content.leadsTo(at) {
		if err := s.beginBehind(at); err != nil {
			return nil, err
		}
	}
	return found, s.mem.SetHardState(s.hard)
}

// beginBehind finishes what install had begun when a crash came: the snapshot is there, and the log still the one before it. What comes behind the
// snapshot would not follow from what that log holds, and would be taken for damage, or not be found, at the start after this one.
func (s *store) beginBehind(at snapshotHead) error {
	log, err := createLog(s.fs, s.dir, logBase{s.id, at.Index, at.Term}, func(l *logFile) { l.putState(s.hard) })
	if err != nil {
		return fmt.Errorf("beginning the log behind snapshot %d: %w", at.Index, err)
	}
	old := s.log
	s.log = log
	return old.close()
}

// loadSnapshot replays the newest snapshot that can be read and that the log continues.
func (s *store) loadSnapshot(base uint64) (*opened, error) {
	indexes, err := listSnapshots(s.fs, s.dir)
	if err != nil {
		return nil, err
	}
	if base == 0 && len(indexes) == 0 { // a new member that was told nothing yet
		return &opened{}, nil
	}
	problem := fmt.Errorf("no snapshot at or behind entry %d", base)
	for _, index := range indexes {
		if index < base {
			break
		}
		b, err := vfs.ReadFile(s.fs, path.Join(s.dir, snapshotName(index)), maxSnapshotSize)
		if err != nil {
			return nil, err
		}
		replay := metadata.NewReplay(metadata.Empty(s.id.ClusterID))
		head, err := decodeSnapshot(b, replay)
		if err == nil && (head.Index != index || head.ClusterID != s.id.ClusterID) {
			err = errSnapshot
		}
		if err == nil {
			return &opened{voters: replay.Voters(), replay: replay, snapshot: head, size: int64(len(b))}, nil
		}
		if errors.Is(err, metadata.ErrFeature) {
			return nil, err
		}
		problem = fmt.Errorf("%s: %w", snapshotName(index), err)
	}
	return nil, fmt.Errorf("%w: %w", ErrCorrupt, problem)
}

// save makes a Ready's entries and state durable, in one write and one sync. ErrNoSpace: nothing happened, try again.
func (s *store) save(rd *raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := s.install(rd); err != nil {
			return err
		}
	}
	if len(s.log.buf) == 0 { // else they are there since the attempt before
		for _, e := range rd.Entries {
			s.log.putEntry(e)
		}
		hard := s.hard
		if !raft.IsEmptyHardState(rd.HardState) {
			hard = rd.HardState
		}
		// A change of the commit index alone is not worth a write: it is learnt again by election.
		if hard.GetTerm() != s.hard.GetTerm() || hard.GetVote() != s.hard.GetVote() || len(rd.Entries) > 0 {
			s.log.putState(hard)
		}
	}
	if err := s.write(rd.MustSync && !bug.Is(bug.RaftSkipsFsync)); err != nil {
		return err
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		s.hard = rd.HardState
		if err := s.mem.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	return s.mem.Append(rd.Entries)
}

// write writes what the log has collected, giving up the reserve when the disk is full.
func (s *store) write(sync bool) error {
	err := s.log.write(sync)
	if errors.Is(err, ErrNoSpace) && s.disk.release() {
		err = s.log.write(sync)
	}
	return err
}

// install begins the log anew behind a snapshot of the leader. After a crash in between, the snapshot is newer than the log that is still
// there; load then goes on from here if the log does not lead to it.
func (s *store) install(rd *raft.Ready) error {
	at := rd.Snapshot.GetMetadata()
	if at.GetIndex() <= s.base {
		return nil // the attempt before got this far
	}
	err := s.replace(rd)
	if noSpace(err) && s.disk.release() {
		err = s.replace(rd)
	}
	if noSpace(err) {
		return ErrNoSpace
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	s.base = at.GetIndex()
	if err := s.mem.ApplySnapshot(&pb.Snapshot{Metadata: at}); err != nil {
		return err
	}
	return removeOldSnapshots(s.fs, s.dir, at.GetIndex())
}

func (s *store) replace(rd *raft.Ready) error {
	at := rd.Snapshot.GetMetadata()
	if err := vfs.WriteFile(s.fs, path.Join(s.dir, snapshotName(at.GetIndex())), rd.Snapshot.GetData(), 0o600); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	hard := s.hard
	if !raft.IsEmptyHardState(rd.HardState) {
		hard = rd.HardState
	}
	log, err := createLog(s.fs, s.dir, logBase{s.id, at.GetIndex(), at.GetTerm()}, func(l *logFile) { l.putState(hard) })
	if err != nil {
		return err
	}
	old := s.log
	s.log, s.hard = log, hard
	return old.close()
}

func noSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// keptEntries stay in memory behind a snapshot: a follower that is a little behind is sent what it lacks, and not everything.
const keptEntries = 1000

// compact cuts the log behind a snapshot that is durable. The entries after it move to a new file.
func (s *store) compact(h snapshotHead) error {
	if h.Index <= s.base {
		return nil // a newer one came from the leader meanwhile
	}
	at := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &h.Index, Term: &h.Term, ConfState: h.Conf}}
	if _, err := s.mem.CreateSnapshot(at.GetMetadata().GetIndex(), h.Conf, nil); err != nil {
		return err
	}
	s.base = h.Index
	first, err := s.mem.FirstIndex()
	if err != nil {
		return err
	}
	if behind := h.Index - min(h.Index, keptEntries); behind >= first {
		if err := s.mem.Compact(behind); err != nil {
			return err
		}
	}
	last, err := s.mem.LastIndex()
	if err != nil {
		return err
	}
	var entries []*pb.Entry
	if last > h.Index {
		if entries, err = s.mem.Entries(h.Index+1, last+1, noLimit); err != nil {
			return err
		}
	}
	log, err := createLog(s.fs, s.dir, logBase{s.id, h.Index, h.Term}, func(l *logFile) {
		for _, e := range entries {
			l.putEntry(e)
		}
		l.putState(s.hard)
	})
	if err != nil {
		return err
	}
	old := s.log
	s.log = log
	return errors.Join(old.close(), removeOldSnapshots(s.fs, s.dir, h.Index))
}

// close notes that everything so far is durable, so that later damage to it cannot pass for a torn tail.
func (s *store) close() error {
	var err error
	if s.log.failed == nil && len(s.log.buf) == 0 {
		s.log.putState(s.hard)
		err = s.log.write(true)
	}
	return errors.Join(err, s.log.close())
}

// closeAfter closes and adds what went wrong to err.
func (s *store) closeAfter(err error) error { return errors.Join(err, s.close()) }
