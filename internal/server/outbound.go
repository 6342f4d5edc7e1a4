package server

import (
	"errors"
	"math"
)

// Replies leave through whoever has the writer role: the reader when it has served all it had, or a goroutine started by the completion
// that made the first reply of the queue ready.

const (
	writeBatch  = 64       // replies taken at a time
	gatherBytes = 64 * kib // small pieces are copied together up to this, for one system call
)

// enqueue adds the reply of the request about to be served. While too much is owed to the client it waits: nothing more is read meanwhile.
func (c *Conn) enqueue(r *Reply) error {
	c.mu.Lock()
	if c.fullLocked() {
		c.mu.Unlock()
		c.endBurst()
		c.mu.Lock()
		for c.fullLocked() && !c.mu.dead {
			c.waitLocked()
		}
	}
	defer c.mu.Unlock()
	if c.mu.dead {
		return c.mu.cause
	}
	if c.mu.aborted {
		return errAborted
	}
	c.mu.queue.push(r)
	c.mu.owed++
	c.mu.current = r
	return nil
}

func (c *Conn) fullLocked() bool {
	return c.mu.queue.n >= c.s.o.Limits.PendingReplies || c.mu.unsent >= c.s.o.Limits.UnsentBytes
}

// waitLocked is the reader waiting for the queue to change.
func (c *Conn) waitLocked() {
	c.mu.waiting = true
	c.changed.Wait()
	c.mu.waiting = false
}

// completed notes that r is ready, and sees to it that it gets written. The reader's own request is left to the reader: it writes when
// it has served everything it read.
func (c *Conn) completed(r *Reply, here bool) {
	size := r.size()
	c.s.mem.add(int64(size))
	c.mu.Lock()
	if r.done {
		c.mu.Unlock()
		panic("server: a reply was completed twice")
	}
	r.done = true
	c.mu.aborted = c.mu.aborted || r.kind == replyAbort
	c.mu.owed--
	c.mu.unsent += size
	if c.mu.waiting {
		c.changed.Signal()
	}
	dead := c.mu.dead
	write := !dead && !c.mu.writing && c.mu.queue.at(0).done && (here || r != c.mu.current)
	if write {
		c.mu.writing = true
	}
	c.mu.Unlock()
	switch {
	case dead:
		c.sweepOut()
	case write && here:
		c.writeOut(true)
	case write:
		go c.writeOut(true)
	}
}

// flush writes what is ready, unless someone does so already.
func (c *Conn) flush() {
	c.mu.Lock()
	write := !c.mu.dead && !c.mu.writing && c.mu.queue.n > 0 && c.mu.queue.at(0).done
	if write {
		c.mu.writing = true
	}
	c.mu.Unlock()
	if write {
		c.writeOut(false)
	}
}

// sweepOut releases the completed replies of a dead connection. Only one goroutine does so at a time: it has the writer role.
func (c *Conn) sweepOut() {
	for {
		c.mu.Lock()
		if c.mu.writing || c.mu.queue.n == 0 {
			c.mu.Unlock()
			return
		}
		var r *Reply
		// The first completed one, wherever it stands: on a dead connection order means nothing.
		for range c.mu.queue.n {
			if q := c.mu.queue.pop(); q.done && r == nil {
				r = q
			} else {
				c.mu.queue.push(q)
			}
		}
		c.mu.Unlock()
		if r == nil {
			return
		}
		r.release()
	}
}

// writeOut writes ready replies until there are none. The caller has the writer role and loses it here. patient says that the goroutine
// has nothing better to do than to wait for a disk.
func (c *Conn) writeOut(patient bool) {
	c.lastWrite.Store(c.s.now.Load())
	var batch [writeBatch]*Reply
	for {
		n, dead := c.takeReady(batch[:])
		if n == 0 {
			if dead {
				c.sweepOut()
			}
			return
		}
		err := c.write(batch[:n], patient)
		if errors.Is(err, errCold) {
			// The reader must not wait for the disk: another goroutine takes over, the writer role with it.
			rest := make([]*Reply, n)
			copy(rest, batch[:n])
			go func() {
				if err := c.write(rest, true); err != nil {
					c.close(err)
				}
				c.wrote(rest)
				c.writeOut(true)
			}()
			return
		}
		if err != nil {
			c.close(err)
		}
		c.wrote(batch[:n])
	}
}

// takeReady moves ready replies from the queue's front to batch. Without any it gives the writer role back.
func (c *Conn) takeReady(batch []*Reply) (n int, dead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(batch) && c.mu.queue.n > 0 && c.mu.queue.at(0).done {
		batch[n] = c.mu.queue.pop()
		c.mu.unsent -= batch[n].size()
		n++
	}
	if n == 0 {
		c.mu.writing = false
	}
	if c.mu.waiting {
		c.changed.Signal()
	}
	return n, c.mu.dead
}

// wrote gives written replies back, and acts on an abort among them.
func (c *Conn) wrote(batch []*Reply) {
	now := c.s.o.Clock.Now()
	for i, r := range batch {
		batch[i] = nil
		if r.kind == replyAbort {
			c.close(r.cause)
		}
		if c.s.o.Observer != nil && r.kind != replyAbort {
			c.s.o.Observer.Replied(r.key, now.Sub(r.received))
		}
		r.release()
	}
	c.s.stats.Replies.Add(int64(len(batch)))
}

// write sends a batch, with as few system calls as its file ranges allow. A patient writer waits for the disk where ranges are cold; an
// impatient one gets errCold before anything of the batch is sent.
func (c *Conn) write(batch []*Reply, patient bool) error {
	if !patient && c.cold(batch) {
		return errCold
	}
	if len(batch) == 1 && len(batch[0].ranges) == 0 {
		if batch[0].kind != replySend {
			return nil
		}
		return c.send(*batch[0].buf, false)
	}
	g := gather{c: c, buf: c.s.mem.buf(), patient: patient}
	err := g.write(batch)
	c.s.mem.putBuf(g.buf)
	return err
}

// cold reports whether a file range of the batch is not in the page cache.
func (c *Conn) cold(batch []*Reply) bool {
	for _, r := range batch {
		for i := range r.ranges {
			if f := &r.ranges[i]; f.copied < 0 && !resident(f.file, f.offset, f.length) {
				return true
			}
		}
	}
	return false
}

func (c *Conn) send(b []byte, more bool) error {
	c.s.stats.BytesOut.Add(int64(len(b)))
	return c.t.write(b, more)
}

// gather collects small pieces to send them together.
type gather struct {
	c       *Conn
	buf     *[]byte
	patient bool
}

func (g *gather) write(batch []*Reply) error {
	for i, r := range batch {
		if r.kind == replyAbort {
			break
		}
		if r.kind == replyDrop {
			continue
		}
		if err := g.reply(r, i < len(batch)-1); err != nil {
			return err
		}
	}
	return g.flush(false)
}

// reply adds one reply; more says that others follow.
func (g *gather) reply(r *Reply, more bool) error {
	b, from := *r.buf, 0
	for i := range r.ranges {
		f := &r.ranges[i]
		if err := g.add(b[from:f.at], true); err != nil {
			return err
		}
		from = f.at
		if f.copied >= 0 {
			if err := g.add((*r.side)[f.copied:f.copied+int(f.length)], true); err != nil {
				return err
			}
			continue
		}
		if err := g.flush(true); err != nil {
			return err
		}
		if err := g.file(f); err != nil {
			return err
		}
	}
	return g.add(b[from:], more)
}

// file sends a range of a file. A patient writer reads what is cold ahead, piece by piece: the limit on cold reads then bounds the work of
// the disk, and a slow client does not hold a place of it.
func (g *gather) file(f *fileRange) error {
	g.c.s.stats.BytesOut.Add(f.length)
	if !g.patient {
		return g.c.t.sendFile(f.file, f.offset, f.length)
	}
	for done := int64(0); done < f.length; {
		n := min(f.length-done, coldPiece)
		if !resident(f.file, f.offset+done, n) {
			if err := g.c.warm(f.file, f.offset+done, n); err != nil {
				return err
			}
		}
		if err := g.c.t.sendFile(f.file, f.offset+done, n); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// coldPiece is how much is read ahead of a client at a time.
const coldPiece = mib

// warm waits for the disk under the limit on cold reads. The client is not to blame for the time it takes.
func (c *Conn) warm(f File, offset, length int64) error {
	c.s.stats.ColdReads.Add(1)
	c.lastWrite.Store(notStalled)
	defer func() { c.lastWrite.Store(c.s.now.Load()) }()
	select {
	case c.s.coldSlots <- struct{}{}:
		defer func() { <-c.s.coldSlots }()
	case <-c.s.closed:
		return errStopped
	}
	return readAhead(f, offset, length)
}

// add sends b together with what was added before, now or later.
func (g *gather) add(b []byte, more bool) error {
	if len(*g.buf)+len(b) <= gatherBytes {
		*g.buf = append(*g.buf, b...)
		return nil
	}
	if err := g.flush(true); err != nil {
		return err
	}
	if len(b) <= gatherBytes {
		*g.buf = append(*g.buf, b...)
		return nil
	}
	return g.c.send(b, more)
}

func (g *gather) flush(more bool) error {
	if len(*g.buf) == 0 {
		return nil
	}
	err := g.c.send(*g.buf, more)
	*g.buf = (*g.buf)[:0]
	return err
}

// notStalled is a time of the last write that lies ahead of every clock: the client is not to blame while we wait for our disk.
const notStalled = math.MaxInt64

// progress notes that the client took bytes.
func (c *Conn) progress() { c.lastWrite.Store(c.s.now.Load()) }
