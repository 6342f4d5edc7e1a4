package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/vfs"
)

func (n *nemesis) slowDisk() {
	m := n.one()
	d, slow := n.between(time.Second, 10*time.Second), n.between(20*time.Millisecond, 2*time.Second)
	n.s.trace("slow disk of %s for %v: %v", m.name, d, slow)
	was := m.syncs.Swap(int64(slow))
	n.rest(d)
	m.syncs.Store(was)
}

// failSync makes syncs fail, as a dying disk does: what was to be synced is lost although it can still be read. The process ends itself, and the
// operator replaces the disk: nothing that is read from it now is worth anything (docs/durability.md).
func (n *nemesis) failSync() {
	m := n.lossy
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil || !n.s.settled() {
		return
	}
	n.s.trace("failing sync on %s", m.name)
	m.suspect.Store(true)
	m.held.Store(true)
	p.faults.Inject(vfs.Fault{Ops: vfs.OpAnySync, Times: 1 + int(n.s.draw()%3), Err: syscall.EIO, Before: func() { p.failed.Store(true) }})
	n.rest(n.between(time.Second, 5*time.Second))
	n.replaceDisk(m)
}

// replaceDisk gives a machine an empty disk, and starts it when the old registration is gone.
func (n *nemesis) replaceDisk(m *machine) {
	m.held.Store(true)
	m.end(wipe)
	n.rest(n.between(0, 4*time.Second))
	for end := time.Now().Add(n.s.opts.Chaos + healTime); ; time.Sleep(500 * time.Millisecond) {
		err := n.unregister(m)
		if err == nil {
			break
		}
		if time.Now().After(end) { // the faults have ended long ago
			n.s.fail("liveness", fmt.Errorf("%s cannot be unregistered: %w", m.name, err))
			return
		}
	}
	m.held.Store(false)
	m.start()
}

func (n *nemesis) fillDisk() {
	m := n.oneToEnd()
	d := n.between(time.Second, 8*time.Second)
	m.mu.Lock()
	disk := m.disk
	m.mu.Unlock()
	u, err := disk.Usage("/")
	if err != nil {
		return
	}
	n.s.trace("disk of %s is full for %v", m.name, d)
	m.full.Add(1)
	disk.SetCapacity(int64(u.Total-u.Free) + int64(n.s.draw()%(64<<10)))
	n.rest(d)
	m.mu.Lock()
	m.disk.SetCapacity(0)
	disk.SetCapacity(0)
	m.mu.Unlock()
	n.s.trace("disk of %s has room", m.name)
	n.rest(2 * time.Second)
	m.full.Add(-1)
	m.start() // if it could not go on without
}

// wipe replaces a disk by an empty one, when every other copy is whole.
func (n *nemesis) wipe() {
	if !n.s.settled() {
		return
	}
	m := n.lossy
	n.s.trace("wipe %s", m.name)
	n.s.sometimes("a disk was wiped")
	n.replaceDisk(m)
}

// unregister is what an operator does before a machine comes back under its old id with another disk.
func (n *nemesis) unregister(m *machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = int32(m.id)
	resp, err := req.RequestWith(ctx, n.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	n.s.trace("unregister %s: %v", m.name, err)
	if errors.Is(err, kerr.BrokerIDNotRegistered) {
		return nil
	}
	return err
}

// loseSync makes a few syncs fail and then takes the power away. The disk works again: what it had confirmed is there, and what it had failed to
// sync is not, although it could be read until now. Who believed a later sync that it was has lost what it vouched for.
func (n *nemesis) loseSync() {
	m := n.oneToEnd()
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil || m.held.Swap(true) {
		return
	}
	all := n.s.draw()%2 == 0
	n.s.trace("failing sync on %s before the power goes, of all %v", m.name, all)
	was := m.suspect.Swap(true)
	p.faults.Inject(vfs.Fault{Ops: vfs.OpAnySync, Times: 1 + int(n.s.draw()%8), Err: syscall.EIO, Before: func() { p.failed.Store(true) }})
	n.rest(n.between(100*time.Millisecond, 3*time.Second))
	list := []*machine{m}
	if all {
		list = n.mayEnd(n.s.machines)
	}
	for _, x := range list {
		x.end(powerCut)
	}
	m.suspect.Store(was)
	m.held.Store(false)
	for _, x := range list {
		n.rest(n.between(0, time.Second))
		x.start()
	}
}
