package commitlog

import (
	"sort"
	"sync"
)

// indexBlock is the part of a segment's index file that a search last ended in. A reader that goes through a log finds its next batch in the same
// block most often (504 entries are 32 MiB of 64 KiB batches) and need not read the index file again. Entries in the file do not change within
// a generation.
type indexBlock struct {
	generation uint32
	entries    []batchEntry // two at least
}

// keptBlocks is how many segments of a directory have a block at hand, 4 KiB each, whatever the number of logs.
const keptBlocks = 64

// indexBlocks takes the block away from whoever got his longest ago.
type indexBlocks struct {
	mu   sync.Mutex
	ring [keptBlocks]*segment
	next int
}

// floorInBlock finds the last entry at or below rel, when the block at hand holds that and the one behind it.
func (s *segment) floorInBlock(generation, rel uint32) (e batchEntry, ok bool) {
	b := s.block.Load()
	if b == nil || b.generation != generation || rel < b.entries[0].rel || rel >= b.entries[len(b.entries)-1].rel {
		return e, false
	}
	i := sort.Search(len(b.entries), func(i int) bool { return b.entries[i].rel > rel })
	return b.entries[i-1], true
}

// keepBlock remembers a block as it stands in the file.
func (s *segment) keepBlock(generation uint32, block []byte) {
	b := &indexBlock{generation: generation, entries: make([]batchEntry, 0, len(block)/offsetEntrySize)}
	for ; len(block) >= offsetEntrySize; block = block[offsetEntrySize:] {
		b.entries = append(b.entries, readBatchEntry(block))
	}
	if len(b.entries) < 2 || s.block.Swap(b) != nil {
		return
	}
	c := &s.blocks
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.ring[c.next]; old != nil {
		old.block.Store(nil)
	}
	c.ring[c.next] = s
	c.next = (c.next + 1) % keptBlocks
}
