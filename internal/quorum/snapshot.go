package quorum

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/vfs"
)

const (
	snapshotPrefix = "snapshot-"
	snapshotMagic  = "KLAMMSN\x01"
	// snapshotBatch is how many records stand under one checksum.
	snapshotBatch   = 1000
	maxSnapshotSize = 4 << 30
)

// snapshotHead says what a snapshot stands for: the log up to and including the entry at Index.
type snapshotHead struct {
	Index, Term uint64
	ClusterID   string
	Conf        *pb.ConfState
}

func snapshotName(index uint64) string { return fmt.Sprintf("%s%020d", snapshotPrefix, index) }

func parseSnapshotName(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, snapshotPrefix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// encodeSnapshot renders an image: a magic number, then blocks, each behind its length and checksum. The first block is the head, the others
// are batches of records, the last one is empty, so that a cut file is known by its missing end.
func encodeSnapshot(h snapshotHead, img *metadata.Image) []byte {
	b := []byte(snapshotMagic)
	b = appendBlock(b, h.encode())
	batch := make([]metadata.Record, 0, snapshotBatch)
	for r := range img.Records() {
		if batch = append(batch, r); len(batch) == snapshotBatch {
			b = appendBlock(b, metadata.AppendBatch(nil, batch))
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		b = appendBlock(b, metadata.AppendBatch(nil, batch))
	}
	return appendBlock(b, nil)
}

func appendBlock(b, block []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(block)))
	b = binary.BigEndian.AppendUint32(b, castagnoli(0, block))
	return append(b, block...)
}

func (h *snapshotHead) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, h.Index)
	b = binary.BigEndian.AppendUint64(b, h.Term)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.ClusterID)))
	b = append(b, h.ClusterID...)
	for _, ids := range [][]uint64{h.Conf.GetVoters(), h.Conf.GetLearners(), h.Conf.GetVotersOutgoing(), h.Conf.GetLearnersNext()} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.BigEndian.AppendUint64(b, id)
		}
	}
	if h.Conf.GetAutoLeave() {
		return append(b, 1)
	}
	return append(b, 0)
}

var errSnapshot = errors.New("snapshot is damaged")

func decodeSnapshotHead(b []byte) (h snapshotHead, err error) {
	if len(b) < 18 {
		return h, errSnapshot
	}
	h.Index, h.Term = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	n := int(binary.BigEndian.Uint16(b[16:]))
	if b = b[18:]; n > len(b) {
		return h, errSnapshot
	}
	h.ClusterID, b = string(b[:n]), b[n:]
	h.Conf = &pb.ConfState{}
	for _, ids := range []*[]uint64{&h.Conf.Voters, &h.Conf.Learners, &h.Conf.VotersOutgoing, &h.Conf.LearnersNext} {
		count, used := binary.Uvarint(b)
		if used <= 0 || count > uint64(len(b)-used)/8 {
			return h, errSnapshot
		}
		for b = b[used:]; count > 0; count-- {
			*ids, b = append(*ids, binary.BigEndian.Uint64(b)), b[8:]
		}
	}
	if len(b) != 1 {
		return h, errSnapshot
	}
	if b[0] == 1 {
		yes := true
		h.Conf.AutoLeave = &yes
	}
	return h, nil
}

// decodeSnapshot replays a snapshot on into, which must be at the empty image.
func decodeSnapshot(b []byte, into *metadata.Replay) (h snapshotHead, err error) {
	b, ok := bytes.CutPrefix(b, []byte(snapshotMagic))
	if !ok {
		return h, errSnapshot
	}
	for first := true; ; first = false {
		var block []byte
		if block, b, err = cutBlock(b); err != nil {
			return h, err
		}
		switch {
		case first:
			if h, err = decodeSnapshotHead(block); err != nil {
				return h, err
			}
		case len(block) == 0:
			return h, nil
		default:
			records, err := metadata.DecodeBatch(block)
			if err != nil {
				return h, err
			}
			if err := into.Add(offsetOf(h.Index), records); err != nil {
				return h, err
			}
		}
	}
}

func cutBlock(b []byte) (block, rest []byte, err error) {
	if len(b) < 8 {
		return nil, nil, errSnapshot
	}
	n, sum := int64(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:])
	if n > int64(len(b)-8) || castagnoli(0, b[8:8+n]) != sum {
		return nil, nil, errSnapshot
	}
	return b[8 : 8+n], b[8+n:], nil
}

// writeSnapshot makes a snapshot durable and gives its size. The log may then be cut behind it.
func writeSnapshot(fsys vfs.FS, dir string, h snapshotHead, img *metadata.Image) (int64, error) {
	b := encodeSnapshot(h, img)
	if err := vfs.WriteFile(fsys, path.Join(dir, snapshotName(h.Index)), b, 0o600); err != nil {
		return 0, err
	}
	return int64(len(b)), fsys.SyncDir(dir)
}

// listSnapshots finds the snapshots in a directory, newest first.
func listSnapshots(fsys vfs.FS, dir string) ([]uint64, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, name := range names {
		if index, ok := parseSnapshotName(name); ok {
			out = append(out, index)
		}
	}
	slices.SortFunc(out, func(a, b uint64) int { return cmp.Compare(b, a) })
	return out, nil
}

// removeOldSnapshots deletes those before index, and what interrupted writes left.
func removeOldSnapshots(fsys vfs.FS, dir string, index uint64) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		n, ok := parseSnapshotName(name)
		if ok && n < index || strings.HasSuffix(name, ".tmp") {
			if err := fsys.Remove(path.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
