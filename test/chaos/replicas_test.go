package chaos

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// compareReplicas holds the replicas of every partition against each other, byte by byte, from where all of them begin up to the high watermark
// (R8). Segments may begin at different offsets.
func (c *campaign) compareReplicas(v view, ends kadm.ListedOffsets) {
	c.t.Helper()
	partitions, batches := 0, 0
	for topic, parts := range v.topics {
		for _, p := range parts {
			end, known := ends.Lookup(topic, p.Partition)
			if !known || len(p.Replicas) < 2 {
				c.t.Errorf("%s-%d: replicas %v, high watermark known: %v: there is nothing to compare", topic, p.Partition, p.Replicas, known)
			}
			var first map[int64][]byte
			for _, r := range p.Replicas {
				m := c.f.of(r)
				if m == nil {
					c.t.Errorf("%s-%d has a replica on %d, which no machine has", topic, p.Partition, r)
					continue
				}
				dir := filepath.Join(m.data(), fmt.Sprintf("%s-%d", topic, p.Partition))
				got, err := readBatches(dir, end.Offset)
				if err != nil {
					c.t.Errorf("%v: %v", m, err)
					continue
				}
				if first == nil {
					first, partitions, batches = got, partitions+1, batches+len(got)
					continue
				}
				if err := sameBatches(first, got); err != nil {
					c.t.Errorf("%s-%d on %v and %v (R8): %v", topic, p.Partition, c.f.of(p.Replicas[0]), m, err)
				}
			}
		}
	}
	if batches == 0 {
		c.t.Error("no batch was compared")
	}
	c.t.Logf("replicas of %d partitions compared, %d batches", partitions, batches)
}

// readBatches are the batches of a log below end, by base offset.
func readBatches(dir string, end int64) (map[int64][]byte, error) {
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 && end > 0 { // the first comes with the first record
		return nil, fmt.Errorf("%s has no segment", dir)
	}
	out := map[int64][]byte{}
	next := int64(-1)
	slices.Sort(segments)
	for _, s := range segments {
		b, err := os.ReadFile(s)
		if err != nil {
			return nil, err
		}
		for len(b) >= 61 {
			base, size := int64(binary.BigEndian.Uint64(b)), 12+int(binary.BigEndian.Uint32(b[8:]))
			if size < 61 || size > len(b) {
				return nil, fmt.Errorf("%s: a batch of %d bytes at offset %d, %d are there", s, size, base, len(b))
			}
			if base >= end {
				return out, nil
			}
			if next >= 0 && base != next {
				return nil, fmt.Errorf("%s: offset %d follows %d (L1)", s, base, next-1)
			}
			out[base] = b[:size]
			next = base + int64(binary.BigEndian.Uint32(b[23:])) + 1
			b = b[size:]
		}
	}
	if next < end && end > 0 {
		return nil, fmt.Errorf("%s ends at %d, the high watermark is %d", dir, next, end)
	}
	return out, nil
}

// sameBatches compares where both have something.
func sameBatches(a, b map[int64][]byte) error {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	from := max(slices.Min(slices.Collect(maps.Keys(a))), slices.Min(slices.Collect(maps.Keys(b))))
	for _, x := range []map[int64][]byte{a, b} {
		for base := range x {
			if base >= from && !bytes.Equal(a[base], b[base]) {
				return fmt.Errorf("the batches at offset %d differ:\n%x\n%x", base, head(a[base]), head(b[base]))
			}
		}
	}
	return nil
}

func head(b []byte) []byte { return b[:min(len(b), 61)] }
