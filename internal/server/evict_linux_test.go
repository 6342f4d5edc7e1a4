package server

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// evict takes a file out of the page cache, as far as the system agrees.
func evict(t *testing.T, f *os.File, size int64) {
	t.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, size, unix.FADV_DONTNEED); err != nil {
		t.Skip(err)
	}
}
