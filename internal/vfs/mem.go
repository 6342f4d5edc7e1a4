package vfs

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that can crash: CrashClone is what a power cut would leave of it. Everything it does follows
// from the seed, the calls made and their order.
//
// Names are kept as given and cleaned; "/" and "." exist from the start and are the same directory. Modification times are zero.
type Mem struct {
	// mu guards the tree and every node in it: this is for tests, where one lock that is obviously right beats many.
	mu       sync.RWMutex
	rng      *rand.Rand
	root     *memNode
	seq      uint64 // of the last change of a name
	locks    map[string]*memLock
	capacity int64 // bytes all files together may hold, 0 for no limit
	used     int64 // bytes of files that have a name or had one while open
}

var _ FS = (*Mem)(nil)

// NewMem is an empty file system.
func NewMem(seed uint64) *Mem {
	m := &Mem{rng: rand.New(rand.NewPCG(seed, memStream)), locks: map[string]*memLock{}}
	m.root = newDirNode(0o755)
	return m
}

// memStream keeps this generator apart from others of the same seed.
const memStream = 0x6d656d

// SetCapacity makes the disk as large as that many bytes of file contents: a write that needs more does what fits and fails with
// ENOSPC. Zero takes the limit away.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// split cleans a name and cuts it into its elements; none for the root.
func split(name string) []string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// findLocked walks to a node.
func (m *Mem) findLocked(op, name string) (*memNode, error) {
	n := m.root
	for _, elem := range split(name) {
		if n.entries == nil {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		if n = n.entries[elem]; n == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

// parentLocked walks to the directory that has or would have name, and gives name's last element.
func (m *Mem) parentLocked(op, name string) (dir *memNode, elem string, err error) {
	elems := split(name)
	if len(elems) == 0 {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	dir, err = m.findLocked(op, strings.Join(elems[:len(elems)-1], "/"))
	if err == nil && dir.entries == nil {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, "", pathError(op, name, cause(err))
	}
	return dir, elems[len(elems)-1], nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.openLocked(name, flag, perm)
	if err != nil {
		return nil, err
	}
	n.handles++
	return &memFile{fs: m, node: n, name: name, writable: flag&(os.O_RDWR|os.O_WRONLY) != 0}, nil
}

func (m *Mem) openLocked(name string, flag int, perm fs.FileMode) (*memNode, error) {
	n, err := m.findLocked("open", name)
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, pathError("open", name, fs.ErrExist)
	case err == nil && n.entries != nil:
		return nil, pathError("open", name, syscall.EISDIR)
	case err == nil:
		if flag&os.O_TRUNC != 0 {
			m.resizeLocked(n, 0)
		}
		return n, nil
	case flag&os.O_CREATE == 0:
		return nil, err
	}
	dir, elem, err := m.parentLocked("open", name)
	if err != nil {
		return nil, err
	}
	n = &memNode{mode: perm.Perm()}
	m.changeLocked(binding{dir, elem, n})
	return n, nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, elem := range split(dir) {
		if n.entries == nil {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		next := n.entries[elem]
		if next == nil {
			next = newDirNode(perm)
			m.changeLocked(binding{n, elem, next})
		}
		n = next
	}
	if n.entries == nil {
		return pathError("mkdir", dir, syscall.ENOTDIR)
	}
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, elem, err := m.parentLocked("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[elem]
	switch {
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case len(n.entries) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	m.changeLocked(binding{dir, elem, nil})
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked("remove", name)
	if err != nil {
		return nil //nolint:nilerr // a missing tree is no error
	}
	m.emptyLocked(n)
	if dir, elem, err := m.parentLocked("remove", name); err == nil {
		m.changeLocked(binding{dir, elem, nil})
	}
	return nil
}

// emptyLocked removes what is in a directory name by name, as the system has to: a crash may leave any part of the tree.
func (m *Mem) emptyLocked(dir *memNode) {
	for _, elem := range sortedKeys(dir.entries) {
		m.emptyLocked(dir.entries[elem])
		m.changeLocked(binding{dir, elem, nil})
	}
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldElem, err := m.parentLocked("rename", oldName)
	if err != nil {
		return err
	}
	to, newElem, err := m.parentLocked("rename", newName)
	if err != nil {
		return err
	}
	n, target := from.entries[oldElem], to.entries[newElem]
	switch {
	case n == nil:
		return pathError("rename", oldName, fs.ErrNotExist)
	case target != nil && target.entries != nil: // as package os, which spares callers the differences between systems
		return pathError("rename", newName, fs.ErrExist)
	case n == target:
		return nil
	case target != nil && n.entries != nil:
		return pathError("rename", newName, syscall.ENOTDIR)
	case slices.Contains(m.pathLocked(newName), n):
		return pathError("rename", newName, fs.ErrInvalid)
	}
	m.changeLocked(binding{from, oldElem, nil}, binding{to, newElem, n})
	return nil
}

// pathLocked is every directory on the way to name.
func (m *Mem) pathLocked(name string) []*memNode {
	nodes := []*memNode{m.root}
	for _, elem := range split(name) {
		n := nodes[len(nodes)-1].entries[elem]
		if n == nil {
			break
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.findLocked("open", dir)
	if err != nil {
		return nil, err
	}
	if n.entries == nil {
		return nil, pathError("list", dir, syscall.ENOTDIR)
	}
	return sortedKeys(n.entries), nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.findLocked("stat", name)
	if err != nil {
		return nil, err
	}
	return memInfo{name: path.Base(path.Clean("/" + name)), size: int64(len(n.data)), mode: n.mode, dir: n.entries != nil}, nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.openLocked(name, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	key := path.Clean("/" + name)
	if m.locks[key] != nil {
		return nil, pathError("lock", name, ErrLocked)
	}
	l := &memLock{fs: m, key: key}
	m.locks[key] = l
	return l, nil
}

// memLock is what Lock returns.
type memLock struct {
	fs  *Mem
	key string
}

// Close gives the file free.
func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.fs.locks[l.key] != l {
		return pathError("unlock", l.key, fs.ErrClosed)
	}
	delete(l.fs.locks, l.key)
	return nil
}

// memTotal is the size of a Mem without a limit, as Usage tells it.
const memTotal = 1 << 40

// Usage implements FS.
func (m *Mem) Usage(dir string) (Usage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, err := m.findLocked("statfs", dir); err != nil {
		return Usage{}, err
	}
	total := m.capacity
	if total == 0 {
		total = memTotal
	}
	return Usage{Total: uint64(total), Free: uint64(max(total-m.used, 0))}, nil
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// cause takes the path off an error that will get another one.
func cause(err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // made a line ago, never wrapped
		return e.Err
	}
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
