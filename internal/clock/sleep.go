package clock

import (
	"context"
	"time"
)

// Sleep waits for d to pass on c, and reports false when ctx ended first.
func Sleep(ctx context.Context, c Clock, d time.Duration) bool {
	over := make(chan struct{})
	t := c.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}
