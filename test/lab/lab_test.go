package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNetwork: hosts reach the test and each other until a rule says otherwise, and again when it is gone.
func TestNetwork(t *testing.T) {
	l := New(t)
	a, err := l.Host()
	check(t, err)
	b, err := l.Host()
	check(t, err)
	listen, err := net.Listen("tcp", l.Self()+":0")
	check(t, err)
	defer listen.Close()
	go func() {
		for {
			c, err := listen.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(listen.Addr().String())
	check(t, err)
	dial := func(h *Host) error {
		return run("", h.Command("timeout", "1", "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%s", l.Self(), port))...)
	}
	ping := func(from, to *Host) error {
		return run("", from.Command("timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/"+to.IP+"/9")...)
	}
	check(t, dial(a))
	check(t, dial(b))
	for name, rule := range map[string]Rule{"deaf": Deaf(l.Self()), "mute": Mute(l.Self()), "resets": Resets(l.Self())} {
		check(t, a.Break(rule))
		if err := dial(a); err == nil {
			t.Errorf("%s: the test can be reached", name)
		}
		check(t, dial(b))
		check(t, a.Break())
		check(t, dial(a))
	}
	check(t, a.Break(Lossy(1), Deaf(b.IP), Mute(b.IP)))
	check(t, dial(a))
	check(t, a.Break())
	// A closed port is refused at once where packets go both ways, and stays silent otherwise.
	refused := func(err error) bool { return err != nil && strings.Contains(err.Error(), "refused") }
	if err := ping(a, b); !refused(err) {
		t.Errorf("between hosts: %v", err)
	}
	check(t, b.Break(Deaf(a.IP)))
	if err := ping(a, b); refused(err) {
		t.Errorf("through a cut: %v", err)
	}
}

// TestPowerCut: what was synced is there afterwards, what was not is gone, and in between everything fails.
func TestPowerCut(t *testing.T) {
	l := New(t)
	d, err := l.Disk("d", 64)
	check(t, err)
	f, err := os.Create(filepath.Join(d.Dir, "f"))
	check(t, err)
	defer f.Close()
	_, err = f.WriteString("synced")
	check(t, err)
	check(t, f.Sync())
	dir, err := os.Open(d.Dir)
	check(t, err)
	check(t, errors.Join(dir.Sync(), dir.Close()))
	_, err = f.WriteString("unsynced")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(d.Dir, "g"), []byte("unsynced"), 0o644))
	check(t, d.Unplug())
	if _, err := f.WriteString("dead"); err == nil {
		t.Error("a write succeeds without power")
	}
	check(t, f.Close())
	check(t, d.Replug())
	got, err := os.ReadFile(filepath.Join(d.Dir, "f"))
	check(t, err)
	if string(got) != "synced" {
		t.Errorf("the file holds %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(d.Dir, "g")); len(got) != 0 {
		t.Errorf("the unsynced file holds %q, %v", got, err)
	}
}

// TestFailingDisk: a sync fails, and says so once; afterwards the disk works, without what was lost.
func TestFailingDisk(t *testing.T) {
	l := New(t)
	d, err := l.Disk("d", 64)
	check(t, err)
	f, err := os.OpenFile(filepath.Join(d.Dir, "f"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	check(t, err)
	defer f.Close()
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	write := func() error {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
		return f.Sync()
	}
	check(t, write())
	check(t, d.Fail())
	if err := errors.Join(write(), write(), write()); err == nil {
		t.Error("three megabytes were synced to a disk that takes nothing")
	} else {
		t.Log(err)
	}
	check(t, d.Mend())
	if err := write(); err != nil { // what was left unwritten may be told now
		t.Log(err)
	}
	check(t, write())
}

// TestFullDisk: not a block is left, and all of them are back later.
func TestFullDisk(t *testing.T) {
	l := New(t)
	d, err := l.Disk("d", 64)
	check(t, err)
	check(t, d.Fill())
	name := filepath.Join(d.Dir, "f")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing to a full disk: %v", err)
	}
	check(t, d.Free())
	check(t, os.WriteFile(name, make([]byte, 1<<20), 0o644))
}

// TestHungAndSlowDisk: a write waits until the disk goes on; a slow one takes its time.
func TestHungAndSlowDisk(t *testing.T) {
	l := New(t)
	d, err := l.Disk("d", 64)
	check(t, err)
	check(t, d.Freeze())
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(filepath.Join(d.Dir, "f"), nil, 0o644) }()
	select {
	case err := <-wrote:
		t.Errorf("a hung disk answers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	check(t, d.Thaw())
	check(t, <-wrote)

	cmd := exec.Command("sh", "-c", "read go; for i in 1 2 3 4 5 6 7 8 9 10; do dd if=/dev/zero of="+filepath.Join(d.Dir, "g")+" bs=4k count=1 conv=fsync 2>/dev/null; done")
	in, err := cmd.StdinPipe()
	check(t, err)
	check(t, cmd.Start())
	check(t, d.Slow(l, cmd.Process.Pid, 20))
	begun := time.Now()
	check(t, in.Close())
	check(t, cmd.Wait())
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("ten synced writes took %v at 20 a second", took)
	}
	check(t, d.Fast())
}

// TestTheJanitorClearsUpBehindTheDead: a test that is killed leaves nothing, not even a hung disk and who waits for it.
func TestTheJanitorClearsUpBehindTheDead(t *testing.T) {
	if out := os.Getenv("LAB_DIE"); out != "" {
		l := New(t)
		d, err := l.Disk("d", 64)
		check(t, err)
		h, err := l.Host()
		check(t, err)
		check(t, d.Freeze())
		c := h.Command("sh", "-c", "echo >"+filepath.Join(d.Dir, "f"))
		check(t, exec.Command(c[0], c[1:]...).Start())
		check(t, os.WriteFile(out, []byte(l.id+" "+l.dir), 0o644))
		check(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	New(t) // skips where there can be none
	out := filepath.Join(t.TempDir(), "names")
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheJanitorClearsUpBehindTheDead$")
	cmd.Env = append(os.Environ(), "LAB_DIE="+out)
	if err := cmd.Run(); err == nil {
		t.Fatal("the process was to die")
	}
	names, err := os.ReadFile(out)
	check(t, err)
	id, dir, _ := strings.Cut(string(names), " ")
	left := func() error {
		links, err := exec.Command("sh", "-c", "ip netns; ip link; cat /proc/mounts; losetup -a; ls "+filepath.Dir(dir)).CombinedOutput()
		for _, line := range strings.Split(string(links), "\n") {
			if strings.Contains(line, id) || strings.Contains(line, filepath.Base(dir)) {
				err = errors.Join(err, errors.New("left behind: "+line))
			}
		}
		return err
	}
	check(t, again(left))
}
