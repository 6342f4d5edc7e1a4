package chaos

import (
	"fmt"
	"syscall"
	"time"
)

// faults is every way to break the cluster.
func faults() []fault {
	return []fault{
		{"kills", kills}, {"crash-loop", crashLoop}, {"kill-all", killAll}, {"pause-leader", pauseLeader}, {"pause-controller", pauseController},
		{"rolling", rolling},
		{"cut-one", cutOne}, {"cut-minority", cutMinority}, {"one-way", oneWay}, {"isolated-leader", isolatedLeader}, {"cut-controller", cutController},
		{"flap", flap}, {"loss", loss}, {"resets", resets},
		{"power-one", powerOne}, {"power-all", powerAll}, {"disk-full", diskFull}, {"disk-fails", diskFails}, {"disk-hangs", diskHangs}, {"disk-slow", diskSlow},
		{"new-broker", newBroker}, {"wiped-broker", wipedBroker},
		{"last-standing", lastStanding}, {"stale-first", staleFirst}, {"pause-kill", pauseKill}, {"power-loop", powerLoop}, {"storm", storm},
	}
}

// kills ends one process after the other by SIGKILL, in the middle of what it does.
func kills(c *campaign) (string, error) {
	n := 40
	if c.long {
		n = 200
	}
	var slowest time.Duration
	for i := range n {
		m := c.any()
		time.Sleep(time.Duration(c.rng.IntN(20_000)) * time.Microsecond) // a random moment of the next group commits
		c.f.kill(m)
		if err := c.f.start(m); err != nil {
			return fmt.Sprintf("kill %d", i+1), err
		}
		slowest = max(slowest, m.node.Ready)
		if err := c.progress(20, 30*time.Second); err != nil {
			return fmt.Sprintf("kill %d, of %v", i+1, m), err
		}
		c.kills++
	}
	return fmt.Sprintf("%d in a row, slowest start %v", n, slowest.Round(time.Millisecond)), nil
}

// crashLoop lets a process die again and again while it starts.
func crashLoop(c *campaign) (string, error) {
	m, what, err := c.target()
	if err != nil {
		return "", err
	}
	const loops = 8
	for range loops {
		c.f.kill(m)
		if err := c.f.launch(m); err != nil {
			return what, err
		}
		time.Sleep(time.Duration(c.rng.IntN(300)) * time.Millisecond) // a random moment of its start
		c.kills++
	}
	return fmt.Sprintf("%s %d times", what, loops), c.f.ready(m)
}

func killAll(c *campaign) (string, error) {
	c.f.kill(c.f.running()...)
	c.kills += len(c.f.machines)
	return "all nodes at once", c.f.startAll()
}

func pauseLeader(c *campaign) (string, error) {
	leader, follower, _, err := c.roles()
	if err != nil {
		return "", err
	}
	if what, err := c.pause(leader, "leader"); err != nil || !c.long {
		return what, err
	}
	what, err := c.pause(follower, "follower")
	return "leader and then " + what, err
}

func pauseController(c *campaign) (string, error) {
	_, _, controller, err := c.roles()
	if err != nil {
		return "", err
	}
	return c.pause(controller, "controller")
}

// pause stops a process for longer than its session, so that it wakes up as one that was replaced (R4).
func (c *campaign) pause(m *machine, role string) (string, error) {
	what := fmt.Sprintf("SIGSTOP of %s %v", role, m)
	if err := syscall.Kill(m.node.PID(), syscall.SIGSTOP); err != nil {
		return what, err
	}
	d := c.hold(c.session+500*time.Millisecond, 20*time.Second)
	err := c.during(d)
	if e := syscall.Kill(m.node.PID(), syscall.SIGCONT); e != nil {
		return what, e
	}
	return fmt.Sprintf("%s for %v", what, d.Round(10*time.Millisecond)), err
}

// during checks that the rest of the cluster works now, when a part of it has been out for as long as d: others lead in its place.
func (c *campaign) during(d time.Duration) error {
	if d < c.session {
		return nil
	}
	return c.progress(20, 10*time.Second)
}

// rolling restarts every node the way an operator does, and measures what producers notice.
func rolling(c *campaign) (string, error) {
	for _, i := range c.rng.Perm(len(c.f.machines)) {
		m := c.f.machines[i]
		if err := c.f.healed(c.ctx, loadTopic, probeTopic); err != nil {
			return "", err
		}
		begun := time.Now()
		if err := c.f.terminate(m); err != nil {
			return "", err
		}
		if err := c.f.start(m); err != nil {
			return "", err
		}
		if err := c.progress(20, 20*time.Second); err != nil {
			return m.String(), err
		}
		c.rolling = max(c.rolling, c.load.gap(begun))
	}
	return fmt.Sprintf("SIGTERM of each, longest pause of a producer so far %v", c.rolling.Round(time.Millisecond)), nil
}
