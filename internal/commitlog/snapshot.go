package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// A .snapshot file is the state of all producers at the offset in its name, in Kafka's format: version, CRC-32C, number of entries, entries
// of 46 bytes. Kafka remembers one batch of a producer there and forgets the other four when it restarts; a client that then repeats one of
// those is refused, and sends it again as something new. We write a producer once per remembered batch, oldest first: Kafka reads
// them all and keeps the last, we keep all.

const (
	snapshotVersion = 1
	snapshotHeader  = 2 + 4
	snapshotEntry   = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
	snapshotLimit   = 1 << 30
)

var errBadSnapshot = errors.New("producer snapshot is damaged")

// encode renders the snapshot; producers are sorted so that equal states give equal files.
func (s *producers) encode() []byte {
	all := make([]*producer, 0, len(s.byID))
	entries := 0
	for _, p := range s.byID {
		all = append(all, p)
		entries += max(p.known, 1)
	}
	slices.SortFunc(all, func(a, b *producer) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	b := make([]byte, 0, snapshotHeader+4+entries*snapshotEntry)
	b = binary.BigEndian.AppendUint16(b, snapshotVersion)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(entries))
	for _, p := range all {
		none := produced{lastSequence: -1, lastOffset: model.NoOffset, timestamp: p.lastTimestamp}
		for i := range p.known - 1 {
			b = p.appendEntry(b, &p.batches[i], model.NoOffset)
		}
		if p.known > 0 {
			none = *p.last()
			none.timestamp = p.lastTimestamp
		}
		b = p.appendEntry(b, &none, p.txnStart)
	}
	binary.BigEndian.PutUint32(b[2:], remember.Sum(b[snapshotHeader:]))
	return b
}

func (p *producer) appendEntry(b []byte, e *produced, txnStart model.Offset) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.id))
	b = binary.BigEndian.AppendUint16(b, uint16(p.epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(e.lastSequence))
	b = binary.BigEndian.AppendUint64(b, uint64(e.lastOffset))
	b = binary.BigEndian.AppendUint32(b, uint32(e.delta))
	b = binary.BigEndian.AppendUint64(b, uint64(e.timestamp))
	b = binary.BigEndian.AppendUint32(b, uint32(p.coordinatorEpoch))
	return binary.BigEndian.AppendUint64(b, uint64(txnStart))
}

// decodeSnapshot reads a snapshot, ours or Kafka's. All producers count as used now.
func decodeSnapshot(b []byte, now time.Time) (producers, error) {
	var s producers
	if len(b) < snapshotHeader+4 || binary.BigEndian.Uint16(b) != snapshotVersion || binary.BigEndian.Uint32(b[2:]) != remember.Sum(b[snapshotHeader:]) {
		return s, errBadSnapshot
	}
	n := int(binary.BigEndian.Uint32(b[snapshotHeader:]))
	b = b[snapshotHeader+4:]
	if n < 0 || n > len(b)/snapshotEntry {
		return s, fmt.Errorf("%w: %d entries in %d bytes", errBadSnapshot, n, len(b))
	}
	for ; n > 0 && !bug.Is(bug.ProducersNotRestored); n-- {
		s.restore(b[:snapshotEntry], now)
		b = b[snapshotEntry:]
	}
	for _, p := range s.byID {
		if p.txnStart != model.NoOffset {
			s.insertOpen(openTxn{first: p.txnStart, producer: p.id})
		}
	}
	return s, nil
}

func (s *producers) restore(b []byte, now time.Time) {
	p := s.obtain(model.ProducerID(binary.BigEndian.Uint64(b)))
	epoch := model.ProducerEpoch(binary.BigEndian.Uint16(b[8:]))
	if epoch != p.epoch {
		p.epoch, p.known = epoch, 0
	}
	e := produced{
		lastSequence: int32(binary.BigEndian.Uint32(b[10:])),
		lastOffset:   model.Offset(binary.BigEndian.Uint64(b[14:])),
		delta:        int32(binary.BigEndian.Uint32(b[22:])),
		timestamp:    int64(binary.BigEndian.Uint64(b[26:])),
	}
	if e.lastOffset >= 0 && e.lastSequence >= 0 {
		p.push(e)
	}
	p.lastTimestamp, p.lastUse = e.timestamp, now
	p.coordinatorEpoch = int32(binary.BigEndian.Uint32(b[34:]))
	p.txnStart = max(model.Offset(binary.BigEndian.Uint64(b[38:])), model.NoOffset)
}

// readSnapshot reads the snapshot at an offset. ErrNotExist, errBadSnapshot.
func (p *place) readSnapshot(at model.Offset) (producers, error) {
	b, err := vfs.ReadFile(p.env.FS, p.file(at, snapshotSuffix), snapshotLimit)
	if err != nil {
		if notExist(err) {
			return producers{}, err
		}
		return producers{}, p.failed(err)
	}
	return decodeSnapshot(b, p.env.Clock.Now())
}

// writeSnapshot writes the snapshot at an offset. A sync of the file or the whole file system has to follow; a torn one is recognised.
func (p *place) writeSnapshot(at model.Offset, s *producers) error {
	return p.writeFile(p.file(at, snapshotSuffix), s.encode())
}

// writeFile writes a small file whose content is checked when it is read, without waiting for the disk.
func (p *place) writeFile(name string, b []byte) error {
	f, err := p.env.FS.OpenFile(name, openFresh, filePerm)
	if err != nil {
		return p.failed(err)
	}
	_, err = f.WriteAt(b, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return p.failed(err)
}
