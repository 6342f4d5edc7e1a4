package commitlog

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/model"
)

func TestOffsetCheckpoint(t *testing.T) {
	entries := []offsetEntry{{tp("b", 1), 7}, {tp("a", 10), 0}, {tp("a", 2), 1 << 40}}
	b := encodeOffsets(entries)
	const want = "0\n4\na 2 1099511627776\na 10 0\nb 1 7\n#crc32c 0 "
	if !strings.HasPrefix(string(b), want) {
		t.Fatalf("wrote %q", b)
	}
	got, err := decodeOffsets(b)
	if err != nil || !maps.Equal(got, map[model.TopicPartition]model.Offset{tp("b", 1): 7, tp("a", 10): 0, tp("a", 2): 1 << 40}) {
		t.Fatalf("read %v %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			bad := slices.Clone(b)
			bad[i] ^= 1 << bit
			again, err := decodeOffsets(bad)
			if err != nil {
				continue
			}
			// The name of the checksum's line was hit: it looks like a partition, which nobody asks for.
			maps.DeleteFunc(again, func(tp model.TopicPartition, _ model.Offset) bool { return len(tp.Topic) == len(checksumTopic) })
			if !maps.Equal(again, got) {
				t.Fatalf("bit %d of byte %d: read %v from %q", bit, i, again, bad)
			}
		}
		if i < len(b)-1 { // the last newline may be missing, as in a file that was edited
			if _, err := decodeOffsets(b[:i]); !errors.Is(err, errBadCheckpoint) {
				t.Fatalf("cut to %d: %v", i, err)
			}
		}
	}
	kafkas, err := decodeOffsets([]byte("0\n2\nx 0 5\ny 3 6\n"))
	if err != nil || kafkas[tp("y", 3)] != 6 {
		t.Fatalf("Kafka's: %v %v", kafkas, err)
	}
}

func TestEpochCheckpoint(t *testing.T) {
	entries := []EpochStart{{0, 0}, {3, 10}, {4, 1 << 35}}
	b := encodeEpochs(entries)
	if !strings.HasPrefix(string(b), "0\n4\n0 0\n3 10\n4 34359738368\n4 46116860") {
		t.Fatalf("wrote %q", b)
	}
	for _, c := range []struct {
		text string
		want []EpochStart
	}{{string(b), entries}, {"0\n2\n1 0\n2 9\n", []EpochStart{{1, 0}, {2, 9}}}, {string(encodeEpochs(nil)), nil}} {
		if got, err := decodeEpochs([]byte(c.text)); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "1\n0\n", "0\n1\n", "0\n2\n2 0\n1 5\n", "0\n2\n1 5\n2 5\n", "0\n1\n1 2 3\n", "0\n1\n-1 0\n", "0\n1\n1 0\nx\n"} {
		if got, err := decodeEpochs([]byte(bad)); !errors.Is(err, errBadCheckpoint) {
			t.Errorf("%q: %v %v", bad, got, err)
		}
	}
}

func TestEpochHistory(t *testing.T) {
	var e epochs
	for _, s := range []EpochStart{{1, 0}, {1, 5}, {3, 10}, {4, 20}} {
		e.assign(s.Epoch, s.Start)
	}
	if want := []EpochStart{{1, 0}, {3, 10}, {4, 20}}; !slices.Equal(e.entries, want) {
		t.Fatalf("%v", e.entries)
	}
	for _, c := range []struct {
		asked, epoch model.LeaderEpoch
		end          model.Offset
	}{{4, 4, 30}, {3, 3, 20}, {2, 1, 10}, {1, 1, 10}, {0, 0, 0}, {5, -1, -1}, {-1, -1, -1}} {
		if epoch, end := e.endOffset(c.asked, 30); epoch != c.epoch || end != c.end {
			t.Errorf("epoch %d: %d ends at %d, want %d at %d", c.asked, epoch, end, c.epoch, c.end)
		}
	}
	for off, want := range map[model.Offset]model.LeaderEpoch{0: 1, 9: 1, 10: 3, 25: 4} {
		if got := e.at(off); got != want {
			t.Errorf("at %d: %d", off, got)
		}
	}
	if e.truncateStart(12); !slices.Equal(e.entries, []EpochStart{{3, 12}, {4, 20}}) {
		t.Errorf("from 12 on: %v", e.entries)
	}
	if e.truncateEnd(20); !slices.Equal(e.entries, []EpochStart{{3, 12}}) {
		t.Errorf("up to 20: %v", e.entries)
	}
	if e.assign(2, 15); !slices.Equal(e.entries, []EpochStart{{2, 15}}) {
		t.Errorf("an older epoch later on: %v", e.entries)
	}
}

func testState() *logState {
	return &logState{
		topicID: testID(), start: 5, end: 90, unstable: -1, producersAt: 90, snapshotAt: 77, dense: true, maxRel: 12,
		epochs: []EpochStart{{1, 5}, {9, 40}}, segments: []segmentState{{0, 1000, 17}, {50, 20, unknownTime}},
	}
}

func TestCleanState(t *testing.T) {
	one := testState().append(nil)
	b := encodeCleanState(map[string][]byte{"t-0": one, "u-1": one}, 0xabcd)
	got, err := decodeCleanState(b, 0xabcd)
	if err != nil || len(got) != 2 || !bytes.Equal(got["u-1"], one) {
		t.Fatalf("%v %v", got, err)
	}
	s, err := decodeLogState(got["t-0"])
	if err != nil || !bytes.Equal(s.append(nil), one) || s.topicID != testID() || s.end != 90 || s.snapshotAt != 77 || !s.dense || s.segments[1].maxTimestamp != unknownTime {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := decodeCleanState(b, 0xabce); !errors.Is(err, errBadCleanState) {
		t.Fatalf("with other recovery points: %v", err)
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 4
		if _, err := decodeCleanState(bad, 0xabcd); !errors.Is(err, errBadCleanState) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if _, err := decodeCleanState(b[:i], 0xabcd); !errors.Is(err, errBadCleanState) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestPartitionMetadata(t *testing.T) {
	b := encodePartitionMeta(testID())
	if m, err := decodePartitionMeta(b); err != nil || m.topic != testID() || !m.ours {
		t.Fatalf("%+v %v", m, err)
	}
	kafkas := "version: 0\ntopic_id: " + testID().String()
	for _, text := range []string{kafkas, kafkas + "\n"} {
		if m, err := decodePartitionMeta([]byte(text)); err != nil || m.topic != testID() || m.ours {
			t.Fatalf("Kafka's: %+v %v", m, err)
		}
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 2
		if m, err := decodePartitionMeta(bad); err == nil {
			t.Fatalf("byte %d flipped: %+v from %q", i, m, bad)
		}
	}
}

func TestCleanMarkerIsKafkas(t *testing.T) {
	if got := string(encodeCleanMarker(12)); got != `{"version":0,"brokerEpoch":12}` {
		t.Fatal(got)
	}
	for text, want := range map[string]model.BrokerEpoch{`{"version":0,"brokerEpoch":12}`: 12, "": -1, "x": -1, `{"version":0}`: -1} {
		if got := decodeCleanMarker([]byte(text)); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// Files on disk may hold anything: reading them ends with a value that can be written again, or an error.
func FuzzFormats(f *testing.F) {
	f.Add(encodeOffsets([]offsetEntry{{tp("a", 1), 5}}))
	f.Add(encodeEpochs([]EpochStart{{1, 2}, {3, 4}}))
	f.Add(encodeCleanState(map[string][]byte{"t-0": testState().append(nil)}, 0))
	f.Add(testState().append(nil))
	f.Add(encodePartitionMeta(testID()))
	f.Add(Identity{NodeID: 1, ClusterID: "c", DirectoryID: testID()}.encode())
	var s producers
	s.note(header(1, 0, 3, 9), epochTime())
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeOffsets(b); err == nil {
			var entries []offsetEntry
			for tp, off := range m {
				entries = append(entries, offsetEntry{tp, off})
			}
			if again, err := decodeOffsets(encodeOffsets(entries)); err != nil || !maps.Equal(m, again) {
				t.Errorf("%v became %v %v", m, again, err)
			}
		}
		if e, err := decodeEpochs(b); err == nil {
			if again, err := decodeEpochs(encodeEpochs(e)); err != nil || !slices.Equal(e, again) {
				t.Errorf("%v became %v %v", e, again, err)
			}
		}
		if p, err := decodeSnapshot(b, epochTime()); err == nil {
			if _, err := decodeSnapshot(p.encode(), epochTime()); err != nil {
				t.Error(err)
			}
		}
		if s, err := decodeLogState(b); err == nil {
			if _, err := decodeLogState(s.append(nil)); err != nil {
				t.Error(err)
			}
		}
		_, _ = decodeCleanState(b, 0)
		_, _ = decodePartitionMeta(b)
		_, _ = decodeIdentity(b)
		decodeCleanMarker(b)
	})
}
