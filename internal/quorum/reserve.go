package quorum

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync/atomic"

	"github.com/klamm/klamm/internal/vfs"
)

// reserve is disk space held by a file of zeros. When the disk is full the metadata log takes it over, so that an administrator can still
// delete a topic or shorten a retention time, which is what makes room again (S4).
type reserve struct {
	fs   vfs.FS
	name string
	size int64
	// held is whether the file is there: the keeper fills it, the driver takes it.
	held atomic.Bool
	// spent is whether the driver took it since it was asked last.
	spent bool
}

const reserveName = "reserve"

func newReserve(fsys vfs.FS, dir string, size int64) *reserve {
	return &reserve{fs: fsys, name: path.Join(dir, reserveName), size: size}
}

// fill writes the file if it is not there in full. A disk without that much room is no error: there is no reserve then.
func (r *reserve) fill() error {
	if r.size <= 0 || r.held.Load() {
		return nil
	}
	if st, err := r.fs.Stat(r.name); err == nil && st.Size() == r.size {
		r.held.Store(true)
		return nil
	}
	f, err := r.fs.OpenFile(r.name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, r.size), 0)
	if err == nil {
		err = f.SyncData()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return errors.Join(err, r.remove())
	}
	r.held.Store(true)
	return nil
}

// release gives the space back and reports whether there was any.
func (r *reserve) release() bool {
	if !r.held.Swap(false) {
		return false
	}
	r.spent = true
	return r.remove() == nil
}

// used reports, once, that the reserve was given up.
func (r *reserve) used() bool {
	spent := r.spent
	r.spent = false
	return spent
}

func (r *reserve) remove() error {
	if err := r.fs.Remove(r.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
