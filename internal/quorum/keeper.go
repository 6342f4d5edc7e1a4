package quorum

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/metadata"
)

// keeper writes snapshots and keeps the space reserve, on one goroutine, so that neither makes a proposal wait.
type keeper struct {
	q       *Quorum
	reserve *reserve
	ended   chan struct{}
	signal  chan struct{}
	mu      struct {
		sync.Mutex
		at      snapshotHead
		img     *metadata.Image
		due     bool
		stopped bool
	}
	last atomic.Uint64 // index of the newest snapshot
	size atomic.Int64  // its bytes
}

func newKeeper(q *Quorum, r *reserve, found *opened) *keeper {
	k := &keeper{q: q, reserve: r, ended: make(chan struct{}), signal: make(chan struct{}, 1)}
	k.last.Store(found.snapshot.Index)
	k.size.Store(found.size)
	return k
}

// due reports that a log of so many bytes is long enough for a snapshot: writing one twice as often as the cluster is large would only
// write the same again and again.
func (k *keeper) due(logBytes int64) bool {
	return logBytes >= max(k.q.o.SnapshotBytes, 2*k.size.Load())
}

// published notes the newest image; a snapshot is made of the one that is newest when it is due.
func (k *keeper) published(at snapshotHead, img *metadata.Image) {
	k.mu.Lock()
	k.mu.at, k.mu.img = at, img
	due := k.mu.due
	k.mu.Unlock()
	if due {
		k.wake()
	}
}

// installed notes a snapshot that came from the leader.
func (k *keeper) installed(index uint64, size int64) {
	k.last.Store(index)
	k.size.Store(size)
}

// logGrew asks for a snapshot.
func (k *keeper) logGrew() {
	k.mu.Lock()
	k.mu.due = true
	k.mu.Unlock()
	k.wake()
}

func (k *keeper) wake() {
	select {
	case k.signal <- struct{}{}:
	default:
	}
}

func (k *keeper) stop() {
	k.mu.Lock()
	k.mu.stopped = true
	k.mu.Unlock()
	k.wake()
	<-k.ended
}

// refillAfter is how long after the reserve was used up the keeper tries to fill it again.
const refillAfter = 30 * time.Second

func (k *keeper) run() {
	defer close(k.ended)
	for range k.signal {
		k.mu.Lock()
		at, img, due, stopped := k.mu.at, k.mu.img, k.mu.due, k.mu.stopped
		if img != nil {
			k.mu.due = false
		}
		k.mu.Unlock()
		if stopped {
			return
		}
		if due && img != nil && at.Index > k.last.Load() {
			k.snapshot(at, img)
		}
		if err := k.reserve.fill(); err != nil {
			k.q.o.Logger.Warn("no disk space could be reserved for the metadata log", "err", err)
			k.wakeLater()
		}
	}
}

// wakeLater lets the keeper look again when there may be room.
func (k *keeper) wakeLater() { k.q.o.Clock.AfterFunc(refillAfter, k.wake) }

// snapshot writes one and has the log cut behind it. When it fails, the log goes on growing and the next one tries again.
func (k *keeper) snapshot(at snapshotHead, img *metadata.Image) {
	at.ClusterID = img.ClusterID
	size, err := writeSnapshot(k.q.o.FS, k.q.o.Dir, at, img)
	if err != nil {
		k.q.o.Logger.Warn("metadata snapshot failed", "offset", at.Index, "err", err)
		return
	}
	k.last.Store(max(at.Index, k.last.Load()))
	k.size.Store(size)
	k.q.drive.cut(at)
}
