package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/klamm/klamm/test/process"
)

// klamm runs a command of the command line against the cluster.
func (c *campaign) klamm(limit time.Duration, args ...string) error {
	cmd := c.command(args...)
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("klamm %v: %w: %s", args, err, out.Bytes())
		}
		return nil
	case <-ctx.Done():
		err := cmd.Process.Kill()
		<-ended
		return errors.Join(fmt.Errorf("klamm %v: not done after %v: %s", args, limit, out.Bytes()), err)
	}
}

func (c *campaign) command(args ...string) *exec.Cmd {
	args = append(args, "-b")
	for i, m := range c.f.running() {
		if i == 0 {
			args = append(args, m.kafka())
		} else {
			args[len(args)-1] += "," + m.kafka()
		}
	}
	return exec.Command(process.Binary(c.t), args...)
}

// known waits until the broker of a machine is in the metadata, under an id above old.
func (c *campaign) known(m *machine, old int32) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // asks again
		_, err := c.f.lookFrom(c.ctx, m)
		if err == nil && m.id > old {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%v (id %d before) is not in the metadata: %w", m, old, err)
		}
	}
}

// newBroker adds a broker under load, moves partitions to it, and takes it out again.
func newBroker(c *campaign) (string, error) {
	m, err := c.f.install()
	if err != nil {
		return "", err
	}
	if err := c.f.start(m); err != nil {
		return "", err
	}
	if err := c.known(m, -1); err != nil {
		return "", err
	}
	what := fmt.Sprintf("%v joins, takes partitions, leaves", m)
	two := c.others(m)[:2]
	to := fmt.Sprintf("%d,%d,%d", m.id, two[0].id, two[1].id)
	if err := c.klamm(30*time.Second, "partition", "move", loadTopic+":0,1,2", "--to", to, "--yes"); err != nil {
		return what, err
	}
	if err := c.moved(m, 3); err != nil {
		return what, err
	}
	if c.rng.IntN(2) == 0 {
		c.f.kill(m)
		c.kills++
		if err := c.f.start(m); err != nil {
			return what, err
		}
	}
	return what, c.takeOut(m)
}

// moved waits until a broker has so many partitions of the load, in sync.
func (c *campaign) moved(m *machine, want int) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // asks again
		v, err := c.f.look(c.ctx, loadTopic)
		n := 0
		if err == nil {
			err = v.unhealthy()
			for _, p := range v.topics[loadTopic] {
				for _, r := range p.ISR {
					if r == m.id && len(p.Replicas) == 3 {
						n++
					}
				}
			}
		}
		if err == nil && n == want {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%v has %d of %d partitions: %w", m, n, want, err)
		}
	}
}

// takeOut drains a broker, ends it, and makes the cluster forget it.
func (c *campaign) takeOut(m *machine) error {
	id := fmt.Sprint(m.id)
	if err := c.klamm(time.Minute, "broker", "drain", id, "--wait", "--yes"); err != nil {
		return err
	}
	if err := c.f.terminate(m); err != nil {
		return err
	}
	if err := c.klamm(time.Minute, "broker", "decommission", id, "--yes"); err != nil {
		return err
	}
	return c.f.remove(m)
}

// remove takes a machine without a process away.
func (f *fleet) remove(m *machine) error {
	kept := f.machines[:0]
	for _, o := range f.machines {
		if o != m {
			kept = append(kept, o)
		}
	}
	f.machines = kept
	return errors.Join(m.disk.Eject(), m.log.Close())
}

// wipedBroker deletes all a node had. It comes back as somebody else (M6), and the replicas of who it was are made anew.
func wipedBroker(c *campaign) (string, error) {
	if err := c.f.healed(c.ctx, loadTopic, probeTopic); err != nil {
		return "", err
	}
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	old := m.id
	c.f.kill(m)
	c.kills++
	if err := os.RemoveAll(m.data()); err != nil {
		return what, err
	}
	if err := c.f.start(m); err != nil {
		return what, err
	}
	if err := c.known(m, old); err != nil {
		return what, fmt.Errorf("M6: %w", err)
	}
	what += fmt.Sprintf(" comes back as broker %d", m.id)
	if err := c.klamm(time.Minute, "broker", "decommission", fmt.Sprint(old), "--yes"); err != nil {
		return what, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	return what, c.f.healed(ctx, loadTopic, probeTopic)
}
