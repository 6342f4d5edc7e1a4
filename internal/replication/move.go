package replication

import (
	"errors"

	"github.com/klamm/klamm/internal/commitlog"
)

// log is where the records are.
func (p *Partition) log() *commitlog.Log { return p.current.Load() }

// Log is where the records are now.
func (p *Partition) Log() *commitlog.Log { return p.log() }

// onLog does something with the log without p.mu: when it was closed because it has moved, once more with the one it has moved to.
func (p *Partition) onLog(do func(*commitlog.Log) error) error {
	for {
		l := p.log()
		if err := do(l); !errors.Is(err, commitlog.ErrClosed) || l == p.log() {
			return err
		}
	}
}

// Relocate exchanges the log for a copy of it in another directory (KIP-113). finish completes the copy and gives it the partition's name: it is
// called while nobody else changes the log, may do nothing but that, and its log must hold the same records, all of them durable. Nobody
// notices: role, high watermark and waiting requests stay as they are. After an error of finish nothing has changed here.
func (p *Partition) Relocate(finish func() (*commitlog.Log, error)) error {
	p.mu.Lock()
	if e := p.failed.Load(); e != nil {
		p.mu.Unlock()
		return e
	}
	next, err := finish()
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.current.Store(next)
	p.refreshLocked()
	end := next.DurableEnd()
	moved := p.mu.synced(end, p.clock.Now())
	syncs := p.takeSyncsLocked(end)
	p.unlockAndWake(moved)
	for _, a := range syncs {
		a.waiter.Wake(a.slot, nil)
	}
	return nil
}
