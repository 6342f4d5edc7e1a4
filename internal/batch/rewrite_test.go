package batch

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// stored is a batch of someRecords at offset 500, of a producer.
func stored(t *testing.T, codec Codec, appendTime bool) (b []byte, recs []Record) {
	t.Helper()
	recs = someRecords(newRand(t, 40+uint64(codec)), 12)
	b = sketch{records: recs, codec: codec, header: func(h *kmsg.RecordBatch) {
		h.ProducerID, h.ProducerEpoch, h.FirstSequence = 5, 1, 90
		if appendTime {
			h.Attributes |= attrAppendTime
		}
	}}.bytes(t)
	SetOffset(b, 500, 3)
	for i := range recs {
		recs[i].Offset += 500
		if appendTime {
			recs[i].Timestamp = mustHeader(t, b).MaxTimestamp
		}
	}
	return b, recs
}

func TestRewriteKeepsWhatStays(t *testing.T) {
	for _, codec := range allCodecs {
		for _, appendTime := range []bool{false, true} {
			b, recs := stored(t, codec, appendTime)
			before := mustHeader(t, b)
			var rb Builder
			for _, horizon := range []int64{NoDeleteHorizon, nowMs + 86_400_000} {
				got, err := rb.Rewrite([]byte("x"), b, horizon, func(i int) bool { return i%3 == 1 })
				if err != nil {
					t.Fatal(err)
				}
				got = got[1:]
				if err := VerifyCRC(got); err != nil {
					t.Fatal(err)
				}
				h := mustHeader(t, got)
				if h.DeleteHorizonMs() != horizon {
					t.Fatalf("horizon %d, want %d", h.DeleteHorizonMs(), horizon)
				}
				want := []Record{recs[1], recs[4], recs[7], recs[10]}
				sameRecords(t, mustCollect(t, got), want)
				for i, k := range kgoRecords(t, got) {
					sameRecords(t, []Record{fromKgo(k)}, want[i:i+1])
				}
				if h.BaseOffset != 500 || h.LastOffset() != 511 || h.Count != 4 || h.LeaderEpoch != 3 || h.ProducerID != 5 ||
					h.ProducerEpoch != 1 || h.BaseSequence != 90 || h.LastSequence() != before.LastSequence() ||
					h.Attributes&^attrDeleteHoriz != before.Attributes {
					t.Fatalf("header became %+v", h)
				}
				// A second pass keeps the first horizon.
				again, err := rb.Rewrite(nil, got, 1, func(i int) bool { return i < 2 })
				if err != nil {
					t.Fatal(err)
				}
				h = mustHeader(t, again)
				if want := max(horizon, 1); h.DeleteHorizonMs() != want {
					t.Fatalf("second horizon is %d, want %d", h.DeleteHorizonMs(), want)
				}
				sameRecords(t, mustCollect(t, again), want[:2])
			}
		}
	}
}

func TestRewriteToNothing(t *testing.T) {
	b, _ := stored(t, Zstd, false)
	var rb Builder
	got, err := rb.Rewrite(nil, b, NoDeleteHorizon, func(int) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	h, before := mustHeader(t, got), mustHeader(t, b)
	if len(got) != HeaderSize || h.Count != 0 || h.LastOffset() != 511 || h.LastSequence() != before.LastSequence() ||
		h.MaxTimestamp != before.MaxTimestamp || h.Attributes != 0 || VerifyCRC(got) != nil {
		t.Fatalf("%d bytes, header %+v", len(got), h)
	}
	if recs := mustCollect(t, got); len(recs) != 0 {
		t.Fatalf("%d records", len(recs))
	}
	_ = kgoRecords(t, got)
}

func TestRewriteOfDamaged(t *testing.T) {
	b, _ := stored(t, Gzip, false)
	b[len(b)-9] ^= 0xff
	var rb Builder
	got, err := rb.Rewrite([]byte("kept"), b, NoDeleteHorizon, func(int) bool { return true })
	if err == nil || !bytes.Equal(got, []byte("kept")) {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestParseControlKey(t *testing.T) {
	if c, err := ParseControlKey([]byte{0, 0, 0, 1}); err != nil || c != ControlCommit {
		t.Fatal(c, err)
	}
	if _, err := ParseControlKey([]byte{0}); err == nil {
		t.Fatal("no error")
	}
}
