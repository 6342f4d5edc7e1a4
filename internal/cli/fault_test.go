package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/klamm/klamm/internal/vfs"
)

// An error names what it is about and the next step: the address that was really dialled, the directory or port that is taken.
func TestFaultsNameTheNextStep(t *testing.T) {
	dial := func(port int) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Err: syscall.ECONNREFUSED}
	}
	for _, c := range []struct {
		name string
		err  error
		want []string
	}{
		{"nobody there", dial(9092), []string{"cannot reach localhost:9092", "klamm server"}},
		{"advertised elsewhere", dial(29092), []string{"cannot reach 127.0.0.1:29092, where localhost:9092 sends its clients", "advertised.listeners"}},
		{"advertised by a name that is unknown here", &net.DNSError{Err: "no such host", Name: "kafka"}, []string{"cannot find kafka, where localhost:9092", "advertised.listeners"}},
		{"wrong name", &net.DNSError{Err: "no such host", Name: "localhost"}, []string{"cannot find localhost", "-b"}},
		{"directory in use", fmt.Errorf("data directory d: lock: %w", vfs.ErrLocked), []string{"data directory d", "another process", "--data DIR"}},
		{"port in use", errors.Join(fmt.Errorf("listener PLAINTEXT: %w", syscall.EADDRINUSE)), []string{"address already in use", "--listen"}},
	} {
		f := explain(c.err, "localhost:9092")
		text := f.text(false)
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is not in\n%s", c.name, w, text)
			}
		}
		if f.code != ExitError {
			t.Errorf("%s: exit code %d", c.name, f.code)
		}
	}
}
