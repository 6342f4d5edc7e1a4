package commitlog

import (
	"testing"

	"github.com/klamm/klamm/internal/model"
)

// A reader that goes through a log reads its index file once per block, not once per read; and however many segments are read, few blocks are kept.
func TestSequentialReadsDoNotSearchTheIndexFile(t *testing.T) {
	at := &place{disk: &disk{}}
	var block []byte
	for i := range uint32(100) {
		block = batchEntry{rel: 10*i + 9, pos: 1000 * i}.append(block)
	}
	var first *segment
	for i := range keptBlocks + 1 {
		s := newSegment(at, model.Offset(i), 4096)
		if first == nil {
			first = s
		}
		s.keepBlock(3, block)
		s.keepBlock(3, block) // twice: it has one place all the same
		for _, tc := range []struct {
			generation, rel uint32
			want            batchEntry
			ok              bool
		}{
			{3, 8, batchEntry{}, false}, // before the block
			{3, 9, batchEntry{rel: 9}, true},
			{3, 18, batchEntry{rel: 9}, true},
			{3, 19, batchEntry{rel: 19, pos: 1000}, true},
			{3, 998, batchEntry{rel: 989, pos: 98000}, true},
			{3, 999, batchEntry{}, false}, // what is behind the block may be nearer
			{4, 19, batchEntry{}, false},  // the index was derived again
		} {
			if e, ok := s.floorInBlock(tc.generation, tc.rel); ok != tc.ok || e != tc.want {
				t.Fatalf("generation %d, %d: %+v %v, want %+v %v", tc.generation, tc.rel, e, ok, tc.want, tc.ok)
			}
		}
	}
	if first.block.Load() != nil {
		t.Fatal("the segment that got its block longest ago still has it")
	}
}
