package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/test/toolchain"
)

// Lab is a room with machines. Its methods are for one goroutine, those of its hosts and disks for one goroutine each.
type Lab struct {
	t      testing.TB
	id     string // begins every name in it: namespaces, links
	dir    string // everything on disk
	subnet string // without the last number
	hosts  int
}

// New opens a lab that is cleared away when the test ends, or dies. Where the machine cannot have one the test is skipped, and fails with CI=true.
func New(t testing.TB) *Lab {
	t.Helper()
	toolchain.Need(t, "ip", "nft", "nsenter", "losetup", "mkfs.ext4", "fstrim")
	if os.Geteuid() != 0 {
		toolchain.Unavailable(t, "namespaces and loop devices need root")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		toolchain.Unavailable(t, "no loop devices here: "+err.Error())
	}
	dir, err := os.MkdirTemp("", "klamm-lab-")
	if err != nil {
		t.Fatal(err)
	}
	// The process id is free of others that live, and short: a link's name has 15 bytes.
	l := &Lab{t: t, id: "k" + strconv.FormatInt(int64(os.Getpid()), 36) + "x" + filepath.Base(dir)[len("klamm-lab-"):][:3], dir: dir}
	stop, err := l.employJanitor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("clearing the lab: %v", err)
		}
	})
	if err := l.openNetwork(); err != nil {
		toolchain.Unavailable(t, "no network of one's own here: "+err.Error())
	}
	return l
}

// Dir is a folder for whatever belongs to the lab; it is removed with it.
func (l *Lab) Dir() string { return l.dir }

// janitor clears a lab by its names alone, whoever made what and however far they came. Frozen file systems are thawed first: their writers
// cannot even be killed. A process that belongs to a host dies with its namespace.
const janitor = `
cat >/dev/null
for m in $(awk -v d="$DIR/" 'index($2, d) == 1 {print $2}' /proc/mounts); do fsfreeze -u "$m" 2>/dev/null; done
for ns in $(ip netns list | awk -v p="$ID-" 'index($1, p) == 1 {print $1}'); do
	ip netns pids "$ns" | xargs -r kill -9
	ip netns del "$ns"
done
ip link del "$ID-b" 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
	left=
	for m in $(awk -v d="$DIR/" 'index($2, d) == 1 {print $2}' /proc/mounts | tac); do umount "$m" 2>/dev/null || left=1; done
	[ -z "$left" ] && break
	sleep 0.2
done
for m in $(awk -v d="$DIR/" 'index($2, d) == 1 {print $2}' /proc/mounts | tac); do echo "still in use: $m"; umount -l "$m"; done
for g in /sys/fs/cgroup/blkio/$ID-*; do [ -d "$g" ] && rmdir "$g"; done
rm -rf --one-file-system "$DIR"
`

// employJanitor starts a process that waits until this one lets go of a pipe, by closing it or by dying, and then clears the lab.
func (l *Lab) employJanitor() (stop func() error, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", janitor)
	cmd.Env = append(os.Environ(), "ID="+l.id, "DIR="+l.dir)
	cmd.Stdin = r
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the test, not for who cleans up behind it
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return func() error {
		if err := w.Close(); err != nil {
			return err
		}
		err := cmd.Wait()
		if text := strings.TrimSpace(said.String()); text != "" {
			err = errors.Join(err, errors.New(text))
		}
		return err
	}, nil
}

// run runs a program of the system, with input where that is not empty. The error holds what it said.
func run(input string, command ...string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// again calls f until it succeeds, for a short time: a file system stays busy for as long as a killed process needs to vanish.
func again(f func() error) error {
	for end := time.Now().Add(10 * time.Second); ; {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // asks again; orders nothing
	}
}
