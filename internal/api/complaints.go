package api

import (
	"sync"
	"time"

	"github.com/klamm/klamm/internal/model"
)

// complaintPause is between two lines of the log about one partition: a client that meets a damaged range tries again at once, for ever.
const complaintPause = 10 * time.Second

// complaints keep failures of a partition from filling the log.
type complaints struct {
	mu   sync.Mutex
	told map[complaint]told
}

// complaint is what is told of which partition.
type complaint struct {
	what string
	tp   model.TopicPartition
}

type told struct {
	at    time.Time
	since int // how often it happened after that, and was not told
}

// due reports whether a complaint is to be told now, and how many were kept back before it.
func (c *complaints) due(what string, tp model.TopicPartition, now time.Time) (keptBack int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := complaint{what, tp}
	last, known := c.told[key]
	if known && now.Sub(last.at) < complaintPause {
		last.since++
		c.told[key] = last
		return 0, false
	}
	if c.told == nil {
		c.told = map[complaint]told{}
	}
	for k, t := range c.told { // there are few, and fewer lines: what is over is forgotten here
		if now.Sub(t.at) >= complaintPause {
			delete(c.told, k)
		}
	}
	c.told[key] = told{at: now}
	return last.since, true
}

// complain writes an error of a partition to the log, the first at once and then one in a while.
func (a *API) complain(what string, tp model.TopicPartition, err error) {
	if n, ok := a.complaints.due(what, tp, a.Clock.Now()); ok {
		a.Logger.Error(what, "topic", tp.Topic, "partition", tp.Partition, "kept_back", n, "err", err)
	}
}
