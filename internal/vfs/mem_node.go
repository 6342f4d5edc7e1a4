package vfs

import (
	"io"
	"io/fs"
	"syscall"
	"time"
)

// memPage is the unit in which the page cache writes back, memSector the unit the medium writes in one piece.
const (
	memPage   = 4096
	memSector = 512
)

// memNode is a file or a directory. It has what a program sees, and beside it what would be on the medium.
type memNode struct {
	mode    fs.FileMode
	names   int // bindings to it in the visible tree
	handles int // open files

	// A file.
	data    []byte
	dirty   map[int64]*dirtyPage // pages that differ from the medium, by index
	onDisk  int64                // length on the medium
	lengths []int64              // lengths it had since, any of which may be the one that reached the medium; the last is the current

	// A directory: entries is nil for a file.
	entries map[string]*memNode
	synced  map[string]boundName // what the medium has
	pending []*nameChange        // changes in this directory that no sync has covered, in order
}

// dirtyPage is what the medium may have in the place of a page: the bytes of the last sync, or those of some time between.
type dirtyPage struct {
	old     [memPage]byte
	between *[memPage]byte // nil: only old
	lost    bool           // a sync of it failed: the system believes it clean and will never write it
}

func newDirNode(perm fs.FileMode) *memNode {
	return &memNode{mode: fs.ModeDir | perm.Perm(), entries: map[string]*memNode{}, synced: map[string]boundName{}}
}

// boundName is a name on the medium.
type boundName struct {
	node *memNode // nil: removed
	seq  uint64   // of the change that made it so
}

// binding says that a name in a directory means a node from now on, or nothing.
type binding struct {
	dir  *memNode
	name string
	node *memNode
}

// nameChange is what happens in one step: one binding for a create or remove, two for a rename.
type nameChange struct {
	seq      uint64
	bindings []binding
}

// changeLocked changes names, visibly at once, and on the medium when the directory is synced.
func (m *Mem) changeLocked(bindings ...binding) {
	m.seq++
	c := &nameChange{seq: m.seq, bindings: bindings}
	for _, b := range bindings {
		if b.node != nil {
			b.node.names++
		}
	}
	for i, b := range bindings {
		if before := b.dir.entries[b.name]; before != nil {
			before.names--
			m.releaseLocked(before)
		}
		if b.node == nil {
			delete(b.dir.entries, b.name)
		} else {
			b.dir.entries[b.name] = b.node
		}
		if i == 0 || bindings[0].dir != b.dir {
			b.dir.pending = append(b.dir.pending, c)
		}
	}
}

// releaseLocked gives a file's space back once nobody can see it.
func (m *Mem) releaseLocked(n *memNode) {
	if n.names == 0 && n.handles == 0 && n.entries == nil {
		m.used -= int64(len(n.data))
	}
}

// apply makes a change durable.
func (c *nameChange) apply() {
	for _, b := range c.bindings {
		// A change that was synced by way of another directory may be older than what this name became since.
		if b.dir.synced[b.name].seq < c.seq {
			b.dir.synced[b.name] = boundName{node: b.node, seq: c.seq}
		}
	}
}

// touchLocked remembers what the medium has of the pages that hold [from, to) before they change.
func (m *Mem) touchLocked(n *memNode, from, to int64) {
	for i := from / memPage; i*memPage < to; i++ {
		if n.dirty == nil {
			n.dirty = map[int64]*dirtyPage{}
		}
		p := n.dirty[i]
		switch {
		case p == nil:
			p = &dirtyPage{}
			if at := i * memPage; at < int64(len(n.data)) {
				copy(p.old[:], n.data[at:])
			}
			n.dirty[i] = p
		case p.lost:
			// Written again after the failed sync: dirty like any other page.
			p.lost = false
		case m.rng.IntN(4) == 0:
			p.between = new([memPage]byte)
			if at := i * memPage; at < int64(len(n.data)) {
				copy(p.between[:], n.data[at:])
			}
		}
	}
}

// maxLengths bounds how many lengths of a file that is never synced are remembered.
const maxLengths = 16

// resizeLocked sets the visible length; what appears is zeros.
func (m *Mem) resizeLocked(n *memNode, size int64) {
	before := int64(len(n.data))
	if size == before {
		return
	}
	m.touchLocked(n, min(size, before), max(size, before))
	if size < before {
		clear(n.data[size:])
		n.data = n.data[:size]
	} else {
		n.data = append(n.data, make([]byte, size-before)...)
	}
	m.used += size - before
	if len(n.lengths) == maxLengths {
		at := m.rng.IntN(maxLengths)
		n.lengths = append(n.lengths[:at], n.lengths[at+1:]...)
	}
	n.lengths = append(n.lengths, size)
}

// syncLocked makes contents and length durable.
func (n *memNode) syncLocked() {
	for i, p := range n.dirty {
		if !p.lost {
			delete(n.dirty, i)
		}
	}
	n.onDisk = int64(len(n.data))
	n.lengths = nil
}

// failSync is what a failed sync does on ext4, XFS and Btrfs: the dirty pages are marked clean and stay visible, and no later sync
// writes them. Faulty calls it when it fails a sync.
func (m *Mem) failSync(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked("sync", name)
	if err != nil {
		return
	}
	n.loseDirty()
}

// failSyncFS does the same to every file, without touching names.
func (m *Mem) failSyncFS() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.root.walk(func(n *memNode) { n.loseDirty() })
}

func (n *memNode) loseDirty() {
	for _, p := range n.dirty {
		p.lost = true
	}
}

// walk visits a visible tree, in any order.
func (n *memNode) walk(visit func(*memNode)) {
	visit(n)
	for _, child := range n.entries {
		child.walk(visit)
	}
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked("sync", dir)
	if err != nil {
		return err
	}
	if n.entries == nil {
		return pathError("sync", dir, syscall.ENOTDIR)
	}
	n.syncNamesLocked()
	return nil
}

func (n *memNode) syncNamesLocked() {
	for _, c := range n.pending {
		c.apply()
	}
	n.pending = nil
}

// SyncFS implements FS.
func (m *Mem) SyncFS(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.findLocked("syncfs", dir); err != nil {
		return err
	}
	m.root.walk(func(n *memNode) {
		if n.entries == nil {
			n.syncLocked()
		} else {
			n.syncNamesLocked()
		}
	})
	return nil
}

// memFile is an open file of a Mem.
type memFile struct {
	fs       *Mem
	node     *memNode
	name     string
	writable bool
	closed   bool // guarded by fs.mu
}

var _ File = (*memFile)(nil)

func (f *memFile) Name() string { return f.name }

// checkLocked refuses use after Close, and writing through a file opened for reading.
func (f *memFile) checkLocked(op string, write bool) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if write && !f.writable {
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) ReadAt(b []byte, pos int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.checkLocked("read", false); err != nil {
		return 0, err
	}
	if pos < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	if pos >= int64(len(f.node.data)) {
		if len(b) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(b, f.node.data[pos:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, pos int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("write", true); err != nil {
		return 0, err
	}
	if pos < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	n := len(b)
	if room := f.fs.capacity - f.fs.used; f.fs.capacity > 0 && pos+int64(n)-int64(len(f.node.data)) > room {
		n = int(max(int64(len(f.node.data))+max(room, 0)-pos, 0))
	}
	if n > 0 {
		f.writeLocked(b[:n], pos)
	}
	if n < len(b) {
		return n, pathError("write", f.name, syscall.ENOSPC)
	}
	return n, nil
}

func (f *memFile) writeLocked(b []byte, pos int64) {
	end := pos + int64(len(b))
	if end > int64(len(f.node.data)) {
		f.fs.resizeLocked(f.node, end)
	}
	f.fs.touchLocked(f.node, pos, end)
	copy(f.node.data[pos:], b)
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("truncate", true); err != nil {
		return err
	}
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	f.fs.resizeLocked(f.node, size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.checkLocked("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

func (f *memFile) SyncData() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("sync", false); err != nil {
		return err
	}
	f.node.syncLocked()
	return nil
}

func (f *memFile) Sync() error { return f.SyncData() }

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("close", false); err != nil {
		return err
	}
	f.closed = true
	f.node.handles--
	f.fs.releaseLocked(f.node)
	return nil
}

// memInfo describes a node at the time of the call.
type memInfo struct {
	name string
	size int64
	mode fs.FileMode
	dir  bool
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
