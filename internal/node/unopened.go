package node

import (
	"sync"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
)

// unopened are replicas whose log could not be opened, most often because the disk was full. They are tried again.
type unopened struct {
	mu struct {
		sync.Mutex
		m       map[model.TopicIDPartition]opening
		timer   clock.Timer
		stopped bool
	}
}

const retryEvery = 5 * time.Second

func (u *unopened) add(o opening) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.m == nil {
		u.mu.m = map[model.TopicIDPartition]opening{}
	}
	u.mu.m[o.id()] = o
}

func (u *unopened) remove(id model.TopicIDPartition) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.mu.m, id)
}

func (u *unopened) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.mu.m)
}

func (u *unopened) take() []opening {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []opening
	for id, o := range u.mu.m {
		out = append(out, o)
		delete(u.mu.m, id)
	}
	return out
}

func (u *unopened) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.stopped = true
	if u.mu.timer != nil {
		u.mu.timer.Stop()
	}
}

func (u *unopened) again(c clock.Clock, f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.mu.stopped {
		u.mu.timer = c.AfterFunc(retryEvery, f)
	}
}

// retryUnopened looks every few seconds whether a log that could not be opened opens now.
func (n *Node) retryUnopened() {
	n.unopened.again(n.clock, func() {
		n.retryOnce()
		n.retryUnopened()
	})
}

func (n *Node) retryOnce() {
	if n.unopened.len() == 0 {
		return
	}
	n.publishing.Lock()
	defer n.publishing.Unlock()
	img := n.image.Load()
	values := n.resolver.Topics(img)
	for _, o := range n.unopened.take() {
		// The topic may have changed or gone since.
		if t := img.TopicByID(o.topic.ID); t != nil && int(o.index) < len(t.Partitions) {
			n.bring(img, opening{t, o.index}, values)
		}
	}
}
