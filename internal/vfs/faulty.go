package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
)

// Op is a set of file system calls.
type Op uint32

// The calls a Fault can strike.
const (
	OpOpen   Op = 1 << iota // OpenFile of what is there
	OpCreate                // OpenFile with O_CREATE
	OpRead
	OpWrite
	OpTruncate
	OpSync // SyncData and Sync
	OpSyncDir
	OpSyncFS
	OpRename // matched by either name
	OpRemove // Remove and RemoveAll
	OpMkdir
	OpList
	OpStat // Stat and Size
	OpLock
	OpUsage
	OpClose

	OpAny      Op = 1<<iota - 1
	OpAnySync     = OpSync | OpSyncDir | OpSyncFS
	OpAnyWrite    = OpCreate | OpWrite | OpTruncate | OpRename | OpMkdir // what a full disk refuses
)

// Fault makes calls fail. Fields must not change once it was given to a Faulty.
type Fault struct {
	Ops   Op
	Match func(name string) bool // nil: every name
	After int                    // matching calls that still succeed first
	Times int                    // calls that fail then; 0: all
	Err   error                  // wrapped in a *fs.PathError; nil: the call goes on after Hold and Before
	Torn  bool                   // a failing write first does half of its work
	// Hold, if set, keeps a struck call waiting until it is closed: a disk that hangs.
	Hold <-chan struct{}
	// Before, if set, is called when a call is struck, before anything of it happens: the moment to take a CrashClone.
	Before func()
}

// Faulty passes calls on to another file system, except those a Fault strikes. A sync that it fails over a Mem loses what the sync
// should have made durable, as real file systems do: a second sync succeeds and proves nothing.
type Faulty struct {
	inner FS

	mu struct {
		sync.Mutex
		armed []*armedFault
		calls map[Op]int
	}
}

var _ FS = (*Faulty)(nil)

type armedFault struct {
	Fault
	seen int // matching calls so far
}

// NewFaulty begins with the given faults; more may come by Inject.
func NewFaulty(inner FS, faults ...Fault) *Faulty {
	f := &Faulty{inner: inner}
	f.mu.calls = map[Op]int{}
	for _, x := range faults {
		f.Inject(x)
	}
	return f
}

// Inject adds a fault. The one that was added first and strikes decides.
func (f *Faulty) Inject(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.armed = append(f.mu.armed, &armedFault{Fault: x})
}

// Heal takes all faults away.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.armed = nil
}

// Calls is the number of calls of any of the given kinds so far, failed or not.
func (f *Faulty) Calls(ops Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for op, calls := range f.mu.calls {
		if op&ops != 0 {
			n += calls
		}
	}
	return n
}

// strike finds the fault for a call, if there is one, and waits if it says so.
func (f *Faulty) strike(op Op, names ...string) *Fault {
	hit := f.find(op, names)
	if hit == nil {
		return nil
	}
	if hit.Hold != nil {
		<-hit.Hold
	}
	if hit.Before != nil {
		hit.Before()
	}
	if hit.Err == nil {
		return nil
	}
	return hit
}

func (f *Faulty) find(op Op, names []string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.calls[op]++
	for _, x := range f.mu.armed {
		if x.Ops&op == 0 || !x.matches(names) {
			continue
		}
		x.seen++
		if x.seen > x.After && (x.Times == 0 || x.seen <= x.After+x.Times) {
			return &x.Fault
		}
	}
	return nil
}

func (x *Fault) matches(names []string) bool {
	if x.Match == nil {
		return true
	}
	for _, name := range names {
		if x.Match(name) {
			return true
		}
	}
	return false
}

func (f *Faulty) fail(op Op, what string, names ...string) error {
	if x := f.strike(op, names...); x != nil {
		return pathError(what, names[0], x.Err)
	}
	return nil
}

// OpenFile implements FS.
func (f *Faulty) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	op := OpOpen
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	if err := f.fail(op, "open", name); err != nil {
		return nil, err
	}
	file, err := f.inner.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f}, nil
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(dir string, perm fs.FileMode) error {
	if err := f.fail(OpMkdir, "mkdir", dir); err != nil {
		return err
	}
	return f.inner.MkdirAll(dir, perm)
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.fail(OpRemove, "remove", name); err != nil {
		return err
	}
	return f.inner.Remove(name)
}

// RemoveAll implements FS.
func (f *Faulty) RemoveAll(name string) error {
	if err := f.fail(OpRemove, "remove", name); err != nil {
		return err
	}
	return f.inner.RemoveAll(name)
}

// Rename implements FS.
func (f *Faulty) Rename(oldName, newName string) error {
	if err := f.fail(OpRename, "rename", oldName, newName); err != nil {
		return err
	}
	return f.inner.Rename(oldName, newName)
}

// List implements FS.
func (f *Faulty) List(dir string) ([]string, error) {
	if err := f.fail(OpList, "open", dir); err != nil {
		return nil, err
	}
	return f.inner.List(dir)
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (fs.FileInfo, error) {
	if err := f.fail(OpStat, "stat", name); err != nil {
		return nil, err
	}
	return f.inner.Stat(name)
}

// syncFailer is what Mem does when a sync fails.
type syncFailer interface {
	failSync(name string)
	failSyncFS()
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(dir string) error {
	if err := f.fail(OpSyncDir, "sync", dir); err != nil {
		return err
	}
	return f.inner.SyncDir(dir)
}

// SyncFS implements FS.
func (f *Faulty) SyncFS(dir string) error {
	if err := f.fail(OpSyncFS, "syncfs", dir); err != nil {
		// A system without the call loses nothing by it.
		if s, ok := f.inner.(syncFailer); ok && !errors.Is(err, errors.ErrUnsupported) {
			s.failSyncFS()
		}
		return err
	}
	return f.inner.SyncFS(dir)
}

// Lock implements FS.
func (f *Faulty) Lock(name string) (io.Closer, error) {
	if err := f.fail(OpLock, "lock", name); err != nil {
		return nil, err
	}
	return f.inner.Lock(name)
}

// Usage implements FS.
func (f *Faulty) Usage(dir string) (Usage, error) {
	if err := f.fail(OpUsage, "statfs", dir); err != nil {
		return Usage{}, err
	}
	return f.inner.Usage(dir)
}

// faultyFile is an open file of a Faulty.
type faultyFile struct {
	File
	fs *Faulty
}

func (f *faultyFile) ReadAt(b []byte, pos int64) (int, error) {
	if err := f.fs.fail(OpRead, "read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, pos)
}

func (f *faultyFile) WriteAt(b []byte, pos int64) (int, error) {
	x := f.fs.strike(OpWrite, f.Name())
	if x == nil {
		return f.File.WriteAt(b, pos)
	}
	n := 0
	if x.Torn {
		var err error
		if n, err = f.File.WriteAt(b[:len(b)/2], pos); err != nil {
			return n, err
		}
	}
	return n, pathError("write", f.Name(), x.Err)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.fail(OpTruncate, "truncate", f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Size() (int64, error) {
	if err := f.fs.fail(OpStat, "stat", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *faultyFile) SyncData() error {
	if err := f.sync(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultyFile) Sync() error {
	if err := f.sync(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) sync() error {
	err := f.fs.fail(OpSync, "sync", f.Name())
	if err != nil {
		if s, ok := f.fs.inner.(syncFailer); ok {
			s.failSync(f.Name())
		}
	}
	return err
}

// Close always closes: the system does so too, whatever it reports.
func (f *faultyFile) Close() error {
	fault := f.fs.fail(OpClose, "close", f.Name())
	if err := f.File.Close(); err != nil {
		return err
	}
	return fault
}
