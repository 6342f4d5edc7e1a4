package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// ErrLocked is returned by Lock when another holder, in this process or another, has the file.
var ErrLocked = errors.New("file is locked by another process")

// FS is a file system. Names are slash-separated paths. Errors wrap the causes of package io/fs (ErrNotExist, ErrExist) and,
// for a full disk and for a failing one, syscall.ENOSPC and syscall.EIO.
//
// Durability, the assumption everything above rests on: a write, a new size, a created, renamed or removed name may be lost or
// kept by a crash, each on its own and in any order, until the matching sync has returned nil. A failed sync says that what it
// covered may be lost, and that calling it again proves nothing.
type FS interface {
	// OpenFile opens with the flags of package os: O_RDONLY or O_RDWR, with O_CREATE, O_EXCL, O_TRUNC. A new name is durable
	// after SyncDir of its directory.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// MkdirAll creates a directory and its missing parents.
	MkdirAll(dir string, perm fs.FileMode) error
	// Remove deletes a file or an empty directory. Files that are open stay readable.
	Remove(name string) error
	// RemoveAll deletes a tree; a missing one is no error.
	RemoveAll(name string) error
	// Rename moves a file or directory in one step: after a crash a replaced file is the old or the new one, never neither. A
	// directory is not replaced, even if it is empty.
	Rename(oldName, newName string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// Stat describes a file or directory.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the entries of a directory durable.
	SyncDir(dir string) error
	// SyncFS makes everything durable that was written to the file system that holds dir: data, sizes and names. It costs one
	// journal commit however many files are dirty. The first call for a dir starts watching for write errors: one that the
	// kernel meets in the background later on is reported by the next call. It returns errors.ErrUnsupported where the system has
	// no such call: then sync file by file.
	SyncFS(dir string) error
	// Lock creates name if it is missing and takes it exclusively until the result is closed or the process ends. ErrLocked.
	Lock(name string) (io.Closer, error)
	// Usage tells the size of the file system that holds dir.
	Usage(dir string) (Usage, error)
}

// File is an open file. Reads and writes name their position; there is no cursor.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is the name it was opened with.
	Name() string
	// Size is the current length in bytes.
	Size() (int64, error)
	// Truncate sets the length; growth reads as zeros.
	Truncate(size int64) error
	// SyncData makes data and size durable (fdatasync).
	SyncData() error
	// Sync makes data and all metadata of the file durable (fsync).
	Sync() error
}

// Usage is the size of a file system, in bytes.
type Usage struct {
	Total uint64
	Free  uint64 // what an unprivileged process may still write
}

// ReadFile returns a whole file. Files over limit bytes are an error: nobody reads those whole on purpose.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("file is larger than expected")}
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// WriteFile replaces a file in one step: it writes and syncs name+".tmp", then renames it. The caller decides when the rename
// itself must be durable (SyncDir of the directory).
func WriteFile(fsys FS, name string, b []byte, perm fs.FileMode) error {
	tmp := name + ".tmp"
	f, err := fsys.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.SyncData()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(fsys, tmp))
	}
	return nil
}

func removeIfThere(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
