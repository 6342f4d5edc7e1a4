package history

import "time"

// checkWindows finds the times in which something was wanted and nothing succeeded for too long.
func (c *checker) checkWindows() {
	for _, w := range c.o.Windows {
		if w.Limit == 0 {
			w.Limit = defaultBound
		}
		c.checkWindow(w)
	}
}

// checkWindow goes through the window with the time since which an op of w.F is wanted and none has succeeded.
func (c *checker) checkWindow(w Window) {
	pending := map[int]bool{}
	since, sinceOp := Never, -1
	lastEnd := w.FromNs // when something was wanted for the last time
	want := func(ns int64, op int) {
		if since == Never {
			since, sinceOp = ns, op
		}
	}
	judge := func(ns int64, op int) {
		from := max(since, w.FromNs)
		if since == Never || min(ns, w.ToNs)-from <= w.Limit.Nanoseconds() {
			return
		}
		c.report(NoProgress, Key{}, []int{sinceOp, op}, "no %s succeeded for %v, from %v on, though one was wanted", w.F,
			time.Duration(min(ns, w.ToNs)-from), time.Duration(from))
	}
	for i := range c.h {
		op := &c.h[i]
		if op.TimeNs > w.ToNs {
			break
		}
		if op.F != w.F {
			continue
		}
		switch op.Type {
		case Invoke:
			want(op.TimeNs, i)
			pending[i] = true
		case OK:
			judge(op.TimeNs, i)
			delete(pending, op.Begun)
			since = Never
			lastEnd = op.TimeNs
			if len(pending) > 0 {
				want(op.TimeNs, i)
			}
		default:
			delete(pending, op.Begun)
			lastEnd = op.TimeNs
		}
	}
	if len(pending) > 0 {
		lastEnd = w.ToNs
	}
	judge(lastEnd, -1)
}
