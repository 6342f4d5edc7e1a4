package chaos

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// each does something with machines at the same time.
func each(ms []*machine, do func(*machine) error) error {
	errs := make([]error, len(ms))
	var wg sync.WaitGroup
	for i, m := range ms {
		wg.Go(func() { errs[i] = do(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// powerOne takes the power of one machine: its process ends, and what its disk had not synced is gone.
func powerOne(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	return what, c.powerCut(m)
}

// powerAll takes the power of all machines at once. Nothing that was acknowledged with acks=all may be gone (R1).
func powerAll(c *campaign) (string, error) {
	times := 2
	if c.long {
		times = 6
	}
	for range times {
		if err := c.powerCut(c.f.running()...); err != nil {
			return "", err
		}
		if err := c.progress(20, 30*time.Second); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("all nodes at once, %d times", times), nil
}

// powerCut takes the power of machines and gives it back.
func (c *campaign) powerCut(which ...*machine) error {
	if err := c.powerOff(which...); err != nil {
		return err
	}
	return c.f.start(which...)
}

// powerOff stops the processes, takes the disks, and only then ends the processes: a cut is one moment for both, and an ending process has its
// files written by the system.
func (c *campaign) powerOff(which ...*machine) error {
	time.Sleep(time.Duration(c.rng.IntN(20_000)) * time.Microsecond) // a random moment of the next group commits
	err := each(which, func(m *machine) error {
		return errors.Join(syscall.Kill(m.node.PID(), syscall.SIGSTOP), m.disk.Unplug())
	})
	if err != nil {
		return err
	}
	c.f.kill(which...)
	return each(which, func(m *machine) error { return m.disk.Replug() })
}

// diskFull (S4): the node stays up, and goes on by itself when there is room.
func diskFull(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	if err := m.disk.Fill(); err != nil {
		return what, err
	}
	d := c.hold(3*time.Second, 20*time.Second)
	select {
	case <-m.node.Done():
		err = fmt.Errorf("the node ended:\n%s", m.node.Log())
	default:
	}
	return fmt.Sprintf("%s for %v", what, d.Round(10*time.Millisecond)), errors.Join(err, m.disk.Free())
}

// diskFails (S5): writes are lost and syncs fail, or everything does. Leaders move away; a restart on the mended disk brings the node back.
func diskFails(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	if c.rng.IntN(2) == 0 {
		what += ", which loses writes,"
		err = m.disk.Fail()
	} else {
		what += ", where every call fails,"
		err = m.disk.Unplug()
	}
	if err != nil {
		return what, err
	}
	d := c.hold(3*time.Second, 20*time.Second)
	err = c.during(d)
	ended := "the node lives"
	select {
	case <-m.node.Done():
		ended = "the node ended"
	default:
	}
	c.f.kill(m)
	// Mounted anew: an error that nobody was told yet would be told to the next who syncs the file system, whoever that is.
	if err := errors.Join(err, m.disk.Mend(), m.disk.Replug()); err != nil {
		return what, err
	}
	err = c.f.start(m)
	return fmt.Sprintf("%s for %v, %s", what, d.Round(10*time.Millisecond), ended), err
}

// diskHangs (S6): nothing comes back from the disk, for longer than a session.
func diskHangs(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	if err := m.disk.Freeze(); err != nil {
		return what, err
	}
	d := c.hold(c.session+2*time.Second, 10*time.Second)
	return fmt.Sprintf("%s for %v", what, d.Round(10*time.Millisecond)), m.disk.Thaw()
}

func diskSlow(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	writes := 10 + c.rng.IntN(40)
	if err := m.disk.Slow(c.f.lab, m.node.PID(), writes); err != nil {
		return what, err
	}
	d := c.hold(3*time.Second, 20*time.Second)
	return fmt.Sprintf("%s, %d writes/s for %v", what, writes, d.Round(10*time.Millisecond)), m.disk.Fast()
}
