package commitlog

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klamm/klamm/internal/vfs"
)

// openFile is a descriptor with counted users. It closes itself when the last one lets go, so a file that is deleted, truncated away
// or evicted stays readable for whoever is in the middle of sending from it.
type openFile struct {
	vfs.File
	refs atomic.Int32 // users, and one for the cache while a slot points here
	used atomic.Bool  // since the cache last looked
	slot *fileSlot
}

// fileSlot is where a segment keeps one of its files while it is open.
type fileSlot struct {
	open atomic.Pointer[openFile]
}

// ref adds a user unless the file is already closed.
func (f *openFile) ref() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unref drops a user. Errors of closing a file that was only read, or was synced before, have nothing left to tell.
func (f *openFile) unref() {
	if f.refs.Add(-1) == 0 {
		_ = f.Close()
	}
}

// fileCache bounds the number of descriptors kept for reuse. It is a clock: a file used since the hand passed gets another round.
// Files in use are never closed, so the number can exceed the limit while more than that are in use.
type fileCache struct {
	fs    vfs.FS
	limit int

	mu struct {
		sync.Mutex
		files []*openFile
		hand  int
	}
}

func newFileCache(fsys vfs.FS, limit int) *fileCache { return &fileCache{fs: fsys, limit: limit} }

// cached is the fast half of acquiring: the file if it is open. The caller unrefs it.
func (s *fileSlot) cached() *openFile {
	f := s.open.Load()
	if f == nil || !f.ref() {
		return nil
	}
	if !f.used.Load() {
		f.used.Store(true)
	}
	return f
}

// open opens name for the slot, or joins whoever did so meanwhile. The caller unrefs the result.
func (c *fileCache) open(s *fileSlot, name string, flag int) (*openFile, error) {
	if f := s.cached(); f != nil {
		return f, nil
	}
	file, err := c.fs.OpenFile(name, flag, filePerm)
	if tooManyFiles(err) {
		c.closeIdle()
		file, err = c.fs.OpenFile(name, flag, filePerm)
	}
	if err != nil {
		return nil, err
	}
	return c.install(s, file), nil
}

// closeIdle closes every file that nobody uses at the moment.
func (c *fileCache) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.mu.files {
		f.used.Store(false)
	}
	for i := 0; i < len(c.mu.files); {
		if c.closeIdleLocked(c.mu.files[i]) {
			c.removeLocked(i)
			continue
		}
		i++
	}
}

// install puts a freshly opened file into the slot. If another one got there first, that one wins and file is closed.
func (c *fileCache) install(s *fileSlot, file vfs.File) *openFile {
	f := &openFile{File: file, slot: s}
	f.refs.Store(2) // the cache and the caller
	f.used.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.open.CompareAndSwap(nil, f) {
		// Slots are only emptied and files only taken from the cache under the lock, so this one is open.
		other := s.cached()
		_ = file.Close()
		return other
	}
	c.mu.files = append(c.mu.files, f)
	if len(c.mu.files) > c.limit {
		c.evictLocked()
	}
	return f
}

// evictLocked closes files that nobody uses until the limit is kept, looking at each at most twice.
func (c *fileCache) evictLocked() {
	for tries := 2 * len(c.mu.files); tries > 0 && len(c.mu.files) > c.limit; tries-- {
		if c.mu.hand >= len(c.mu.files) {
			c.mu.hand = 0
		}
		f := c.mu.files[c.mu.hand]
		if f.used.Swap(false) || !c.closeIdleLocked(f) {
			c.mu.hand++
			continue
		}
		c.removeLocked(c.mu.hand)
	}
}

// closeIdleLocked closes f if only the cache refers to it.
func (c *fileCache) closeIdleLocked(f *openFile) bool {
	if !f.refs.CompareAndSwap(1, 0) {
		return false
	}
	f.slot.open.CompareAndSwap(f, nil)
	_ = f.Close()
	return true
}

func (c *fileCache) removeLocked(i int) {
	last := len(c.mu.files) - 1
	c.mu.files[i] = c.mu.files[last]
	c.mu.files[last] = nil
	c.mu.files = c.mu.files[:last]
}

// sweep closes what was not used since the last sweep, so that idle logs hold no descriptors, and reports how many stay open.
func (c *fileCache) sweep() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < len(c.mu.files); {
		f := c.mu.files[i]
		if !f.used.Swap(false) && c.closeIdleLocked(f) {
			c.removeLocked(i)
			continue
		}
		i++
	}
	return len(c.mu.files)
}

// closeAll closes every file but those in the middle of being read, which close themselves.
func (c *fileCache) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.mu.files {
		f.slot.open.CompareAndSwap(f, nil)
		f.unref()
	}
	c.mu.files = nil
}

// drop takes the slot's file out of the cache: whoever still uses it keeps it, nobody new gets it. It reports whether it was unused
// (or not open at all).
func (c *fileCache) drop(s *fileSlot) (unused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := s.open.Swap(nil)
	if f == nil {
		return true
	}
	if i := slices.Index(c.mu.files, f); i >= 0 {
		c.removeLocked(i)
	}
	if f.refs.CompareAndSwap(1, 0) {
		_ = f.Close()
		return true
	}
	f.unref()
	return false
}

const (
	openExisting = os.O_RDWR
	openCreate   = os.O_RDWR | os.O_CREATE
	openFresh    = os.O_RDWR | os.O_CREATE | os.O_TRUNC
)
