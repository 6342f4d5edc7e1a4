package commitlog

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
)

func TestOffsetCheckpoint(t *testing.T) {
	entries := []remember.Offset{{TP: tp("b", 1), At: 7}, {TP: tp("a", 10), At: 0}, {TP: tp("a", 2), At: 1 << 40}}
	b := remember.EncodeOffsets(entries)
	const want = "0\n4\na 2 1099511627776\na 10 0\nb 1 7\n#crc32c 0 "
	if !strings.HasPrefix(string(b), want) {
		t.Fatalf("wrote %q", b)
	}
	got, err := remember.DecodeOffsets(b)
	if err != nil || !maps.Equal(got, map[model.TopicPartition]model.Offset{tp("b", 1): 7, tp("a", 10): 0, tp("a", 2): 1 << 40}) {
		t.Fatalf("read %v %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			bad := slices.Clone(b)
			bad[i] ^= 1 << bit
			again, err := remember.DecodeOffsets(bad)
			if err != nil {
				continue
			}
			// The name of the checksum's line was hit: it looks like a partition, which nobody asks for.
			maps.DeleteFunc(again, func(tp model.TopicPartition, _ model.Offset) bool {
				return len(tp.Topic) == len(remember.ChecksumTopic)
			})
			if !maps.Equal(again, got) {
				t.Fatalf("bit %d of byte %d: read %v from %q", bit, i, again, bad)
			}
		}
		if i < len(b)-1 { // the last newline may be missing, as in a file that was edited
			if _, err := remember.DecodeOffsets(b[:i]); !errors.Is(err, remember.ErrBadCheckpoint) {
				t.Fatalf("cut to %d: %v", i, err)
			}
		}
	}
	kafkas, err := remember.DecodeOffsets([]byte("0\n2\nx 0 5\ny 3 6\n"))
	if err != nil || kafkas[tp("y", 3)] != 6 {
		t.Fatalf("Kafka's: %v %v", kafkas, err)
	}
}

func TestEpochCheckpoint(t *testing.T) {
	entries := []EpochStart{{Epoch: 0, Start: 0}, {Epoch: 3, Start: 10}, {Epoch: 4, Start: 1 << 35}}
	b := remember.EncodeEpochs(entries)
	if !strings.HasPrefix(string(b), "0\n4\n0 0\n3 10\n4 34359738368\n4 46116860") {
		t.Fatalf("wrote %q", b)
	}
	for _, c := range []struct {
		text string
		want []EpochStart
	}{{string(b), entries}, {"0\n2\n1 0\n2 9\n", []EpochStart{{Epoch: 1, Start: 0}, {Epoch: 2, Start: 9}}}, {string(remember.EncodeEpochs(nil)), nil}} {
		if got, err := remember.DecodeEpochs([]byte(c.text)); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "1\n0\n", "0\n1\n", "0\n2\n2 0\n1 5\n", "0\n2\n1 5\n2 5\n", "0\n1\n1 2 3\n", "0\n1\n-1 0\n", "0\n1\n1 0\nx\n"} {
		if got, err := remember.DecodeEpochs([]byte(bad)); !errors.Is(err, remember.ErrBadCheckpoint) {
			t.Errorf("%q: %v %v", bad, got, err)
		}
	}
}

func TestEpochHistory(t *testing.T) {
	var e epochs
	for _, s := range []EpochStart{{Epoch: 1, Start: 0}, {Epoch: 1, Start: 5}, {Epoch: 3, Start: 10}, {Epoch: 4, Start: 20}} {
		e.assign(s.Epoch, s.Start)
	}
	if want := []EpochStart{{Epoch: 1, Start: 0}, {Epoch: 3, Start: 10}, {Epoch: 4, Start: 20}}; !slices.Equal(e.entries, want) {
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
	if e.truncateStart(12); !slices.Equal(e.entries, []EpochStart{{Epoch: 3, Start: 12}, {Epoch: 4, Start: 20}}) {
		t.Errorf("from 12 on: %v", e.entries)
	}
	if e.truncateEnd(20); !slices.Equal(e.entries, []EpochStart{{Epoch: 3, Start: 12}}) {
		t.Errorf("up to 20: %v", e.entries)
	}
	if e.assign(2, 15); !slices.Equal(e.entries, []EpochStart{{Epoch: 2, Start: 15}}) {
		t.Errorf("an older epoch later on: %v", e.entries)
	}
}

func testState() *remember.Log {
	return &remember.Log{
		TopicID: testID(), Start: 5, End: 90, Unstable: -1, ProducersAt: 90, SnapshotAt: 77, Dense: true, MaxRel: 12,
		Epochs: []EpochStart{{Epoch: 1, Start: 5}, {Epoch: 9, Start: 40}}, Segments: []remember.Segment{{Base: 0, Size: 1000, MaxTimestamp: 17}, {Base: 50, Size: 20, MaxTimestamp: unknownTime}},
	}
}

func TestCleanState(t *testing.T) {
	one := testState().Append(nil)
	b := remember.EncodeClean(map[string][]byte{"t-0": one, "u-1": one}, 0xabcd)
	got, err := remember.DecodeClean(b, 0xabcd)
	if err != nil || len(got) != 2 || !bytes.Equal(got["u-1"], one) {
		t.Fatalf("%v %v", got, err)
	}
	s, err := remember.DecodeLog(got["t-0"])
	if err != nil || !bytes.Equal(s.Append(nil), one) || s.TopicID != testID() || s.End != 90 || s.SnapshotAt != 77 || !s.Dense || s.Segments[1].MaxTimestamp != unknownTime {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := remember.DecodeClean(b, 0xabce); !errors.Is(err, remember.ErrBadClean) {
		t.Fatalf("with other recovery points: %v", err)
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 4
		if _, err := remember.DecodeClean(bad, 0xabcd); !errors.Is(err, remember.ErrBadClean) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if _, err := remember.DecodeClean(b[:i], 0xabcd); !errors.Is(err, remember.ErrBadClean) {
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
	f.Add(remember.EncodeOffsets([]remember.Offset{{TP: tp("a", 1), At: 5}}))
	f.Add(remember.EncodeEpochs([]EpochStart{{Epoch: 1, Start: 2}, {Epoch: 3, Start: 4}}))
	f.Add(remember.EncodeClean(map[string][]byte{"t-0": testState().Append(nil)}, 0))
	f.Add(testState().Append(nil))
	f.Add(encodePartitionMeta(testID()))
	f.Add(Identity{NodeID: 1, ClusterID: "c", DirectoryID: testID()}.encode())
	var s producers
	s.note(header(1, 0, 3, 9), epochTime())
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := remember.DecodeOffsets(b); err == nil {
			var entries []remember.Offset
			for tp, off := range m {
				entries = append(entries, remember.Offset{TP: tp, At: off})
			}
			if again, err := remember.DecodeOffsets(remember.EncodeOffsets(entries)); err != nil || !maps.Equal(m, again) {
				t.Errorf("%v became %v %v", m, again, err)
			}
		}
		if e, err := remember.DecodeEpochs(b); err == nil {
			if again, err := remember.DecodeEpochs(remember.EncodeEpochs(e)); err != nil || !slices.Equal(e, again) {
				t.Errorf("%v became %v %v", e, again, err)
			}
		}
		if p, err := decodeSnapshot(b, epochTime()); err == nil {
			if _, err := decodeSnapshot(p.encode(), epochTime()); err != nil {
				t.Error(err)
			}
		}
		if s, err := remember.DecodeLog(b); err == nil {
			if _, err := remember.DecodeLog(s.Append(nil)); err != nil {
				t.Error(err)
			}
		}
		_, _ = remember.DecodeClean(b, 0)
		_, _ = decodePartitionMeta(b)
		_, _ = decodeIdentity(b)
		decodeCleanMarker(b)
	})
}
