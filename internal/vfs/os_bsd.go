//go:build darwin || freebsd

package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData is a full sync: on macOS only F_FULLFSYNC, which os.File.Sync uses, reaches the medium.
func syncData(f *os.File) error { return f.Sync() }

// syncFS: there is no call that waits for every dirty file and reports their errors.
func syncFS(*os.File) error { return errors.ErrUnsupported }

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func lockFile(f *os.File) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lerr error
	if err := rc.Control(func(fd uintptr) { lerr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return err
	}
	if errors.Is(lerr, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return lerr
}

func usage(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return Usage{Total: uint64(st.Blocks) * uint64(st.Bsize), Free: uint64(max(st.Bavail, 0)) * uint64(st.Bsize)}, nil
}
