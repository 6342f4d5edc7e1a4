package node

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/klamm/klamm/internal/clock"
)

// dials fail one after the other, and then like the last one.
type dials []syscall.Errno

func (d *dials) Listen(string, string) (net.Listener, error) { return nil, syscall.EINVAL }

func (d *dials) DialContext(context.Context, string, string) (net.Conn, error) {
	err := (*d)[0]
	if len(*d) > 1 {
		*d = (*d)[1:]
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
}

// A process that is killed may take one more connection before its socket is closed. The dial then fails with ECONNRESET (99 of 300 on a busy machine),
// which was taken for a machine that is out of reach: a voter that fell for it held the others up for a second, until its lease had ended.
func TestProcessThatIsJustDyingIsLookedAtAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		dials  dials
		nobody bool
	}{
		{"refused", dials{syscall.ECONNREFUSED}, true},
		{"reset, then refused", dials{syscall.ECONNRESET, syscall.ECONNRESET, syscall.ECONNREFUSED}, true},
		{"reset for ever", dials{syscall.ECONNRESET}, false},
		{"out of reach", dials{syscall.EHOSTUNREACH, syscall.ECONNREFUSED}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Node{}
				n.net, n.clock, n.links.ctx = &c.dials, clock.Real(), t.Context()
				if got := n.nobodyAt("node:9093"); got != c.nobody {
					t.Errorf("nobody there: %v", got)
				}
			})
		})
	}
}
