package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// OS is the operating system's file system. Its files also implement syscall.Conn, so that a server can sendfile from them.
func OS() FS { return &osFS{watch: map[string]*os.File{}} }

type osFS struct {
	mu    sync.Mutex
	watch map[string]*os.File // directories SyncFS was called for; see syncFS
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) SyncData() error { return syncData(f.File) }

func (*osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (*osFS) MkdirAll(dir string, perm fs.FileMode) error { return os.MkdirAll(dir, perm) }

func (*osFS) Remove(name string) error { return os.Remove(name) }

func (*osFS) RemoveAll(name string) error { return os.RemoveAll(name) }

func (*osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (*osFS) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

func (*osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (*osFS) SyncDir(dir string) error { return syncDir(dir) }

// SyncFS keeps one descriptor per directory open for ever: syncfs(2) reports the write errors met since the descriptor was
// opened, so one opened for the call alone would miss every page the kernel failed to write back before.
func (o *osFS) SyncFS(dir string) error {
	dir = filepath.Clean(dir)
	o.mu.Lock()
	f := o.watch[dir]
	if f == nil {
		var err error
		if f, err = os.Open(dir); err != nil {
			o.mu.Unlock()
			return err
		}
		o.watch[dir] = f
	}
	o.mu.Unlock()
	return syncFS(f)
}

func (*osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.Join(err, f.Close())}
	}
	return f, nil
}

func (*osFS) Usage(dir string) (Usage, error) { return usage(dir) }
