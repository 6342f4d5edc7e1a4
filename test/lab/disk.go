package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Disk is an ext4 file system on a loop device over a file in memory.
type Disk struct {
	// Dir is where it is mounted.
	Dir string

	mib         int
	tray, image string // a tmpfs, and the file on it that is the device's medium
	group       string // the cgroup that slows it down, or ""
}

// ioctl numbers of the kernel's headers: ext4.h, fs.h.
const (
	ext4Shutdown = 0x8004587D
	noLogFlush   = 2
	fiFreeze     = 0xC0045877
	fiThaw       = 0xC0045878
)

// Disk makes an empty disk and mounts it.
func (l *Lab) Disk(name string, mib int) (*Disk, error) {
	d := &Disk{Dir: filepath.Join(l.dir, name), tray: filepath.Join(l.dir, name+".tray"), mib: mib}
	d.image = filepath.Join(d.tray, "image")
	for _, dir := range []string{d.Dir, d.tray} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := syscall.Mount("lab", d.tray, "tmpfs", 0, d.traySize(2*mib<<10)); err != nil {
		return nil, fmt.Errorf("tmpfs: %w", err)
	}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(int64(mib)<<20), f.Close()); err != nil {
		return nil, err
	}
	if err := run("", "mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8", d.image); err != nil {
		return nil, err
	}
	// The medium gets all its blocks, then gives back those of no use: the file system's own, its journal above all, stay. So a disk that
	// fails later (Fail) fails for data; without its journal it would only become read-only.
	if err := run("", "fallocate", "-l", strconv.Itoa(mib)+"MiB", d.image); err != nil {
		return nil, err
	}
	if err := d.mount(); err != nil {
		return nil, err
	}
	return d, run("", "fstrim", d.Dir)
}

func (d *Disk) traySize(kib int) string { return "size=" + strconv.Itoa(kib) + "k" }

// mount mounts the file system; the loop device goes with the mount.
func (d *Disk) mount() error { return run("", "mount", "-o", "loop", d.image, d.Dir) }

// ioctl calls the file system through its root.
func (d *Disk) ioctl(request, argument uintptr) error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, argument); errno != 0 {
		return fmt.Errorf("ioctl %#x on %s: %w", request, d.Dir, errno)
	}
	return nil
}

// Unplug cuts the disk's power: from now on every call fails, and what was not synced before is gone. It stays so until Replug. A sync that is
// under way in this moment may return success and be lost all the same (seen in 4 of 600 cuts on Linux 6.18, fdatasync alone, never syncfs): for
// the power cut of a machine, where nobody lives to see that success, stop its processes first.
func (d *Disk) Unplug() error {
	how := uint32(noLogFlush)
	return d.ioctl(ext4Shutdown, uintptr(unsafe.Pointer(&how)))
}

// Replug mounts an unplugged disk again. Whoever had files open on it must be gone or about to.
func (d *Disk) Replug() error {
	if err := again(func() error { return syscall.Unmount(d.Dir, 0) }); err != nil {
		return fmt.Errorf("unmount %s: %w", d.Dir, err)
	}
	// The loop device lets go of its file a moment after the unmount.
	return again(d.mount)
}

// Freeze makes the disk hang: whoever writes waits until Thaw, and cannot be killed before.
func (d *Disk) Freeze() error { return d.ioctl(fiFreeze, 0) }

// Thaw ends Freeze.
func (d *Disk) Thaw() error { return d.ioctl(fiThaw, 0) }

func (d *Disk) filler() string { return filepath.Join(d.Dir, "filler") }

// Fill takes all the room there is.
func (d *Disk) Fill() error {
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	// What is written between the look and the order takes some of the room: then a little less is ordered.
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(d.Dir, &st); err != nil {
			return err
		}
		free, at := int64(st.Bavail)*st.Bsize, int64(0)
		if at, err = f.Seek(0, 2); err != nil {
			return err
		}
		if free == 0 {
			return nil
		}
		err := syscall.Fallocate(int(f.Fd()), 0, at, max(free/2, st.Bsize))
		if errors.Is(err, syscall.ENOSPC) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Free ends Fill.
func (d *Disk) Free() error { return os.Remove(d.filler()) }

// Fail makes the disk lose writes: the medium takes no new block, so what the page cache has taken cannot be written back and a sync
// fails, once; the system drops the pages and says nothing the next time (as real disks and file systems do, USENIX ATC'20). Reads go on.
func (d *Disk) Fail() error {
	if err := run("", "fstrim", d.Dir); err != nil {
		return err
	}
	// Refused when the medium has grown since the look.
	return again(func() error {
		var st syscall.Statfs_t
		if err := syscall.Statfs(d.tray, &st); err != nil {
			return err
		}
		return d.resize(int(int64(st.Blocks-st.Bfree) * st.Bsize >> 10))
	})
}

// Mend ends Fail.
func (d *Disk) Mend() error {
	return d.resize(2 * d.mib << 10)
}

func (d *Disk) resize(kib int) error {
	return syscall.Mount("lab", d.tray, "tmpfs", syscall.MS_REMOUNT, d.traySize(kib))
}

// Slow lets a process do so many writes per second on the disk.
func (d *Disk) Slow(l *Lab, pid, writes int) error {
	var st syscall.Stat_t
	if err := syscall.Stat(d.Dir, &st); err != nil {
		return err
	}
	d.group = filepath.Join("/sys/fs/cgroup/blkio", l.id+"-"+filepath.Base(d.Dir))
	if err := os.Mkdir(d.group, 0o755); err != nil {
		return err
	}
	limit := fmt.Sprintf("%d:%d %d", st.Dev>>8&0xfff, st.Dev&0xff, writes)
	if err := os.WriteFile(filepath.Join(d.group, "blkio.throttle.write_iops_device"), []byte(limit), 0); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// Fast ends Slow.
func (d *Disk) Fast() error {
	procs, err := os.ReadFile(filepath.Join(d.group, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(procs)) {
		err := os.WriteFile("/sys/fs/cgroup/blkio/cgroup.procs", []byte(pid), 0)
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return again(func() error { return os.Remove(d.group) })
}

// Eject takes the disk away for good.
func (d *Disk) Eject() error {
	if err := again(func() error { return syscall.Unmount(d.Dir, 0) }); err != nil {
		return fmt.Errorf("unmount %s: %w", d.Dir, err)
	}
	return again(func() error { return syscall.Unmount(d.tray, 0) })
}
