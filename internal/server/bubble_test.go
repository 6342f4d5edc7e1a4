package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm/klamm/internal/clock"
)

// pipeListener accepts in-memory connections, which a synctest bubble can see through.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	gone  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), gone: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.gone) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (l *pipeListener) dial(t *testing.T) *client {
	here, there := net.Pipe()
	l.conns <- there
	return &client{here, t}
}

// bubble runs f with a server of the real clock, whose time is the bubble's.
func bubble(t *testing.T, limits Limits, h Handler, f func(t *testing.T, s *Server, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Handler: h, Limits: limits, Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler)})
		l := newPipeListener()
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := s.Serve(l, Listener{Name: "PIPE"}); err != nil {
				t.Error(err)
			}
		})
		f(t, s, l)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
		synctest.Wait()
	})
}

func TestTimeoutsToTheSecond(t *testing.T) {
	limits := Limits{Idle: time.Minute, PartialFrame: 30 * time.Second, WriteStall: 20 * time.Second}
	bubble(t, limits, handlerFunc(echo), func(t *testing.T, s *Server, l *pipeListener) {
		for _, tc := range []struct {
			name string
			act  func(c *client)
			want time.Duration
		}{
			{"idle", func(*client) {}, limits.Idle},
			{"half a frame", func(c *client) { c.send(frame(keyMetadata, 1, nil)[:7]) }, limits.PartialFrame},
			{"not reading", func(c *client) { c.send(frame(keyMetadata, 1, nil)) }, limits.WriteStall},
		} {
			c := l.dial(t)
			tc.act(c)
			begun := time.Now()
			synctest.Wait()
			if tc.name == "not reading" {
				for s.Stats().Open.Load() > 0 {
					time.Sleep(100 * time.Millisecond)
				}
			} else if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Fatal(tc.name, err)
			}
			if d := time.Since(begun); d < tc.want || d > tc.want+2*maxSweep {
				t.Errorf("%s: closed after %v, want %v", tc.name, d, tc.want)
			}
		}
	})
}

func TestAnswersOverAnyConnection(t *testing.T) {
	bubble(t, Limits{}, handlerFunc(echo), func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		big := make([]byte, 300_000)
		for _, body := range [][]byte{nil, []byte("klamm"), big} {
			go c.send(frame(keyMetadata, 9, body))
			if id, got := c.receive(); id != 9 || len(got) != len(body) {
				t.Fatalf("answer %d of %d bytes", id, len(got))
			}
		}
	})
}

func TestNoGoroutineOutlivesItsConnection(t *testing.T) {
	open := make(chan *Reply, 1)
	// The bubble fails when a goroutine is left at its end.
	bubble(t, Limits{}, handlerFunc(func(_ *Conn, r *Request) { open <- r.Reply }), func(t *testing.T, s *Server, l *pipeListener) {
		c := l.dial(t)
		c.send(frame(keyMetadata, 1, nil))
		r := <-open
		c.Close()
		synctest.Wait()
		if n := s.Stats().Open.Load(); n != 0 {
			t.Fatalf("%d open", n)
		}
		r.Send() // too late: dropped
		if q := s.QueuedBytes(); q != 0 {
			t.Fatalf("%d bytes queued", q)
		}
	})
}
