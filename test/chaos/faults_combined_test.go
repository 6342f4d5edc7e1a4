package chaos

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/klamm/klamm/test/lab"
)

// Faults that are harmless one by one and cost others their data when they meet.

// lastStanding leaves one replica of a partition alone, takes its power, and lets it come back first (KIP-966): what it had not synced is gone,
// and it must not have been acknowledged, because nobody else had it.
func lastStanding(c *campaign) (string, error) {
	if err := c.f.healed(c.ctx, loadTopic, probeTopic); err != nil {
		return "", err
	}
	v, err := c.f.look(c.ctx, loadTopic)
	if err != nil {
		return "", err
	}
	p := v.topics[loadTopic][c.rng.IntN(loadPartitions)]
	last := c.f.of(p.Leader)
	var rest []*machine
	for _, r := range p.Replicas {
		if m := c.f.of(r); m != nil && m != last {
			rest = append(rest, m)
		}
	}
	if last == nil || len(rest) != replicas-1 {
		return "", fmt.Errorf("partition %v is not on %d machines", p, replicas)
	}
	what := fmt.Sprintf("%v alone has partition %d, and loses power", last, p.Partition)
	c.f.kill(rest...)
	c.kills += len(rest)
	c.hold(time.Second, 3*time.Second)
	if err := c.powerOff(last); err != nil {
		return what, err
	}
	if err := c.f.launch(last); err != nil {
		return what, err
	}
	c.hold(500*time.Millisecond, 3*time.Second)
	return what, errors.Join(c.f.launchAll(rest...), c.f.ready(append(rest, last)...))
}

// staleFirst cuts one node off, ends all the others a while later, and starts the one that was cut off first: what it missed must not go.
func staleFirst(c *campaign) (string, error) {
	stale, what, err := c.target()
	if err != nil {
		return "", err
	}
	others := c.others(stale)
	if err := stale.host.Break(cut(c.f.others(stale)...)...); err != nil {
		return what, err
	}
	c.hold(c.session+500*time.Millisecond, 5*time.Second)
	how := "the others are killed"
	if c.rng.IntN(2) == 0 {
		how = "all lose power"
		err = c.powerOff(c.f.running()...)
	} else {
		c.f.kill(c.f.running()...)
	}
	c.kills += len(c.f.machines)
	what = fmt.Sprintf("%s is cut off, %s, it starts first", what, how)
	if err := errors.Join(err, stale.host.Break(), c.f.launch(stale)); err != nil {
		return what, err
	}
	c.hold(time.Second, 3*time.Second)
	return what, errors.Join(c.f.launchAll(others...), c.f.ready(append(others, stale)...))
}

// pauseKill stops a leader until others lead, kills those, and wakes it up: it still believes that it leads.
func pauseKill(c *campaign) (string, error) {
	leader, _, _, err := c.roles()
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("leader %v sleeps, the others are killed, it wakes up", leader)
	if err := syscall.Kill(leader.node.PID(), syscall.SIGSTOP); err != nil {
		return what, err
	}
	c.hold(c.session+500*time.Millisecond, 5*time.Second)
	others := c.others(leader)
	c.f.kill(others...)
	c.kills += len(others)
	if err := syscall.Kill(leader.node.PID(), syscall.SIGCONT); err != nil {
		return what, err
	}
	c.hold(500*time.Millisecond, 3*time.Second)
	return what, c.f.start(others...)
}

// powerLoop takes the power of all nodes again while they come back.
func powerLoop(c *campaign) (string, error) {
	times := 5
	if c.long {
		times = 15
	}
	for range times {
		if err := c.powerOff(c.f.running()...); err != nil {
			return "", err
		}
		if err := c.f.launchAll(c.f.machines...); err != nil {
			return "", err
		}
		time.Sleep(time.Duration(c.rng.IntN(600)) * time.Millisecond) // a random moment of their start
	}
	return fmt.Sprintf("all nodes %d times, at random moments of their start", times), c.f.ready(c.f.machines...)
}

// storm has several things wrong at the same time: packets are lost everywhere, one disk is slow, another node is killed again and again, a third
// flaps.
func storm(c *campaign) (string, error) {
	ms := c.others()
	slow, dying, flapping := ms[0], ms[1], ms[2]
	percent := 5 + c.rng.IntN(10)
	what := fmt.Sprintf("%d %% of packets, %v slow, %v killed, %v flaps", percent, slow, dying, flapping)
	if err := each(c.f.machines, func(m *machine) error { return m.host.Break(lab.Lossy(percent)) }); err != nil {
		return what, err
	}
	if err := slow.disk.Slow(c.f.lab, slow.node.PID(), 30); err != nil {
		return what, err
	}
	rules := append(cut(c.f.others(flapping)...), lab.Lossy(percent))
	duration := 5 * time.Second
	if c.long {
		duration = 20 * time.Second
	}
	end := time.Now().Add(duration)
	moments := make([]time.Duration, 1000) // drawn here: the two below run beside each other
	for i := range moments {
		moments[i] = time.Duration(100+c.rng.IntN(600)) * time.Millisecond
	}
	var wg sync.WaitGroup
	var flaps, kills error
	wg.Go(func() {
		for i := 0; time.Now().Before(end) && flaps == nil; i += 2 {
			flaps = flapping.host.Break(rules...)
			time.Sleep(moments[i])
			flaps = errors.Join(flaps, flapping.host.Break(lab.Lossy(percent)))
			time.Sleep(moments[i+1])
		}
	})
	for i := 1; time.Now().Before(end) && kills == nil; i += 2 {
		c.f.kill(dying)
		c.kills++
		kills = c.f.start(dying)
		time.Sleep(moments[i])
	}
	wg.Wait()
	whole := each(c.f.machines, func(m *machine) error { return m.host.Break() })
	return fmt.Sprintf("%s for %v", what, duration), errors.Join(flaps, kills, whole, slow.disk.Fast())
}
