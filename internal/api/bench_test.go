package api

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/replication"
)

// loader repeats one encoded request, inFlight at a time, and throws the answers away. It allocates nothing.
type loader struct {
	net.Conn
	t        testing.TB
	burst    []byte
	in       []byte
	inFlight int
}

func (r *rig) loader(q kmsg.Request, inFlight int) *loader {
	l := &loader{Conn: r.dial().Conn, t: r.t, in: make([]byte, 8<<20), inFlight: inFlight}
	for range inFlight {
		l.burst = append(l.burst, encode(q, 1)...)
	}
	return l
}

func (l *loader) round() (bytes int) {
	if _, err := l.Write(l.burst); err != nil {
		l.t.Fatal(err)
	}
	for range l.inFlight {
		if _, err := io.ReadFull(l, l.in[:4]); err != nil {
			l.t.Fatal(err)
		}
		n := int(binary.BigEndian.Uint32(l.in))
		if _, err := io.ReadFull(l, l.in[:n]); err != nil {
			l.t.Fatal(err)
		}
		bytes += n
	}
	return bytes
}

// allocations is the least that a round costs: now and then the log's background work or a collection that empties pools falls into one.
func (l *loader) allocations() float64 {
	least := testing.AllocsPerRun(20, func() { l.round() })
	for range 3 {
		least = min(least, testing.AllocsPerRun(20, func() { l.round() }))
	}
	return least
}

// The hot paths allocate nothing per record and nothing per partition: many of both cost no more than one. What is left now and then is
// the log's sparse index growing.
func TestHotPathsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget what they hold")
	}
	r := newRig(t)
	parts := r.topic("t", 1, 100, replication.Config{})
	r.topic("p", 2, 100, replication.Config{Durability: 1})
	for _, p := range parts {
		appendTo(t, p, records(10, 5000))
		appendTo(t, p, records(1, 100))
	}
	all := make([]int32, len(parts))
	for i := range all {
		all[i] = int32(i)
	}
	fetchAll := fetchRequest(12, "t", 1, 0)
	fetchAll.MaxBytes = 7 << 20
	fetchAll.Topics[0].Partitions = nil
	for _, i := range all {
		fetchAll.Topics[0].Partitions = append(fetchAll.Topics[0].Partitions, fetchPartition(i, 0))
	}
	for _, tc := range []struct {
		name string
		q    kmsg.Request
		most float64
	}{
		{"produce one", produceRequest(9, 1, "t", 1, records(1, 100), 0), 0.5},
		{"produce 100 partitions of 20 records", produceRequest(9, 1, "t", 1, records(20, 10), all...), 5},
		{"produce 100 partitions by id", produceRequest(13, 1, "", 1, records(20, 10), all...), 5},
		{"produce page-cache acks=all", produceRequest(9, -1, "p", 2, records(20, 10), all...), 5},
		{"fetch one", fetchRequest(12, "t", 1, 0), 0.5},
		{"fetch 100 partitions", fetchAll, 5},
	} {
		l := r.loader(tc.q, 1)
		for range 15 {
			l.round()
		}
		if n := l.allocations(); n > tc.most {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
	// acks=all with a sync starts a goroutine to answer; its partitions still cost nothing each.
	l := r.loader(produceRequest(9, -1, "t", 1, records(20, 10), all...), 1)
	for range 20 {
		l.round()
	}
	if n := l.allocations(); n > 20 {
		t.Errorf("acks=all to 100 partitions: %v allocations", n)
	}
}

func BenchmarkProduce(b *testing.B) {
	for _, bc := range []struct {
		name           string
		acks           int16
		size, inFlight int
		parts          int
	}{
		{"1KB", 1, 1000, 5, 1}, {"16KiB", 1, 16 << 10, 5, 1}, {"64KiB", 1, 64 << 10, 5, 1}, {"100x1KB", 1, 1000, 2, 100}, {"64KiB/fsync", -1, 64 << 10, 5, 1},
	} {
		b.Run(fmt.Sprintf("%s/acks=%d", bc.name, bc.acks), func(b *testing.B) {
			r := newRig(b)
			r.topic("t", 1, 100, replication.Config{})
			parts := make([]int32, bc.parts)
			for i := range parts {
				parts[i] = int32(i)
			}
			l := r.loader(produceRequest(9, bc.acks, "t", 1, records(1, bc.size-70), parts...), bc.inFlight)
			b.SetBytes(int64(bc.size * bc.parts))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += bc.inFlight {
				l.round()
			}
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	for _, size := range []int32{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			r := newRig(b)
			p := r.topic("t", 1, 1, replication.Config{})[0]
			for range 32 {
				appendTo(b, p, records(60, 1000))
			}
			q := fetchRequest(12, "t", 1, 0)
			q.MaxBytes = size
			l := r.loader(q, 1)
			b.ReportAllocs()
			b.ResetTimer()
			total := 0
			for range b.N {
				total += l.round()
			}
			b.SetBytes(int64(total / b.N))
		})
	}
}
