package commitlog

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/invariant"
)

// How often the keeper does what has no configuration.
const (
	sweepInterval  = 30 * time.Second // closing files that nobody used for so long
	expireInterval = 10 * time.Minute // forgetting producers (producer.id.expiration.check.interval.ms)
)

// keeper does a directory's work in the background, in one goroutine: it syncs what nobody asked for, makes checkpoints, deletes
// segments and files, closes idle files and forgets idle producers.
type keeper struct {
	dir   *Dir
	tasks []task
	wake  chan struct{} // holds one
	timer clock.Timer

	mu struct {
		sync.Mutex
		touched []*Log // changed since their last checkpoint
		doomed  []doomedFile
	}

	checkpoints checkpoints
}

// task is something done regularly.
type task struct {
	every time.Duration
	due   time.Time
	run   func(now time.Time)
}

// doomedFile is a file or directory to remove when its time has come.
type doomedFile struct {
	name string
	due  time.Time
}

func newKeeper(d *Dir) *keeper {
	k := &keeper{dir: d, wake: make(chan struct{}, 1)}
	k.checkpoints.dir = d
	return k
}

// begin plans the work from now on.
func (k *keeper) begin() {
	d := k.dir
	now := d.env.Clock.Now()
	add := func(every time.Duration, run func(time.Time)) {
		k.tasks = append(k.tasks, task{every: every, due: now.Add(every), run: run})
	}
	add(d.o.SyncInterval, k.syncDue)
	add(d.o.CheckpointInterval, func(time.Time) { k.checkpoint() })
	add(d.o.RetentionCheck, func(now time.Time) { d.retain(now) })
	add(sweepInterval, func(time.Time) { d.files.sweep() })
	add(expireInterval, k.expire)
	for _, name := range d.doomedDirs() {
		k.mu.doomed = append(k.mu.doomed, doomedFile{name: name, due: now})
	}
}

// add asks for a checkpoint of l.
func (k *keeper) add(l *Log) {
	k.mu.Lock()
	k.mu.touched = append(k.mu.touched, l)
	k.mu.Unlock()
}

func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// doom removes files when delay has passed.
func (k *keeper) doom(names []string, delay time.Duration) {
	due := k.dir.env.Clock.Now().Add(max(delay, 0))
	k.mu.Lock()
	for _, n := range names {
		k.mu.doomed = append(k.mu.doomed, doomedFile{name: n, due: due})
	}
	k.mu.Unlock()
	k.poke()
}

// moved tells that a directory has another name: what was doomed in it is there now.
func (k *keeper) moved(from, to string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.mu.doomed {
		if rest, ok := strings.CutPrefix(k.mu.doomed[i].name, from+"/"); ok {
			k.mu.doomed[i].name = to + "/" + rest
		}
	}
}

// run works until quit is closed.
func (k *keeper) run(quit <-chan struct{}) {
	k.timer = k.dir.env.Clock.AfterFunc(0, k.poke)
	defer k.timer.Stop()
	for {
		select {
		case <-quit:
			return
		case <-k.wake:
		}
		k.timer.Reset(k.work())
	}
}

// work does what is due and tells how long to wait for the next.
func (k *keeper) work() time.Duration {
	now := k.dir.env.Clock.Now()
	next := now.Add(time.Hour)
	if k.dir.err() == nil {
		if k.dir.uncheckpointed.Load() >= k.dir.o.CheckpointBytes {
			k.checkpoint() // a crash now would leave too much to scan
		}
		for i := range k.tasks {
			t := &k.tasks[i]
			if !t.due.After(now) {
				t.run(now)
				t.due = now.Add(t.every)
			}
			if t.due.Before(next) {
				next = t.due
			}
		}
		if due, ok := k.removeDoomed(now); ok && due.Before(next) {
			next = due
		}
	}
	return max(next.Sub(k.dir.env.Clock.Now()), 0)
}

// syncDue commits logs whose records wait for a sync that nobody asked for.
func (k *keeper) syncDue(now time.Time) {
	k.mu.Lock()
	touched := slices.Clone(k.mu.touched)
	k.mu.Unlock()
	for _, l := range touched {
		waited, ok := l.unsyncedFor(now)
		if !ok {
			continue
		}
		flush := l.config.Load().Flush
		if flush.Durability == Fsync || (flush.Interval > 0 && waited >= flush.Interval) {
			l.Commit()
		}
	}
}

// commitAll makes everything durable soon, and with it the files closable.
func (k *keeper) commitAll() {
	k.mu.Lock()
	touched := slices.Clone(k.mu.touched)
	k.mu.Unlock()
	for _, l := range touched {
		l.Commit()
	}
}

func (k *keeper) expire(now time.Time) {
	for _, l := range k.dir.logs() {
		l.expireProducers(now)
	}
}

// removeDoomed removes what is due and tells when the next is.
func (k *keeper) removeDoomed(now time.Time) (next time.Time, ok bool) {
	var due []string
	k.mu.Lock()
	k.mu.doomed = slices.DeleteFunc(k.mu.doomed, func(f doomedFile) bool {
		if f.due.After(now) {
			if !ok || f.due.Before(next) {
				next, ok = f.due, true
			}
			return false
		}
		due = append(due, f.name)
		return true
	})
	k.mu.Unlock()
	for _, name := range due {
		k.remove(name)
	}
	return next, ok
}

// remove deletes a file or tree. What cannot be deleted stays until the next start tries again.
func (k *keeper) remove(name string) {
	if err := k.dir.env.FS.RemoveAll(name); err != nil {
		invariant.Sometimes("doomed file not removed")
		_ = k.dir.failed(err) // goes offline; there is nobody to tell
	}
}

// removeAll removes everything doomed, due or not.
func (k *keeper) removeAll() {
	k.mu.Lock()
	doomed := k.mu.doomed
	k.mu.doomed = nil
	k.mu.Unlock()
	for _, f := range doomed {
		k.remove(f.name)
	}
}
