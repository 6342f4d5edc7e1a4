package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
)

// fault is an error as a user meets it: what failed, why, and what to type next.
type fault struct {
	what string
	why  error
	next string
	code int
}

// Error is what and why in one line.
func (f *fault) Error() string {
	switch {
	case f.why == nil:
		return f.what
	case f.what == "":
		return f.why.Error()
	}
	return f.what + ": " + f.why.Error()
}

// Unwrap is the reason.
func (f *fault) Unwrap() error { return f.why }

func (f *fault) text(color bool) string {
	prefix := "error: "
	if color {
		prefix = "\x1b[31merror:\x1b[0m "
	}
	s := prefix + strings.ReplaceAll(f.Error(), "\n", "\n  ") + "\n"
	if f.next != "" {
		s += "  next: " + f.next + "\n"
	}
	return s
}

func usage(format string, args ...any) error {
	return &fault{what: fmt.Sprintf(format, args...), code: ExitUsage}
}

// silent ends with a code and says nothing more: the command has said it.
func silent(code int) error { return &fault{code: code} }

func partial(what string, done, asked int) error {
	return &fault{what: fmt.Sprintf("%s: %d of %d done", what, done, asked), code: ExitPartial}
}

// outcome folds the results of several items into one: nil, the only error there was, or "done in part".
func outcome(what string, asked int, errs []error) error {
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == asked:
		return errs[0]
	}
	return partial(what, asked-len(errs), asked)
}

// refusal is an error code with the message the broker sent along.
type refusal struct {
	message string
	code    error
}

// Error is the broker's message and the code's name; the code's general description would only repeat it.
func (r *refusal) Error() string {
	var ke *kerr.Error
	if errors.As(r.code, &ke) {
		return r.message + " (" + ke.Message + ")"
	}
	return r.message + " (" + r.code.Error() + ")"
}

// Unwrap is the code.
func (r *refusal) Unwrap() error { return r.code }

// withMessage joins a code with the message that came with it, if one did.
func withMessage(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	return &refusal{message, err}
}

// explain finds the words for any error.
func explain(err error, bootstrap string) *fault {
	var f *fault
	if errors.As(err, &f) {
		if f.why != nil && f.next == "" && f.code == 0 {
			inner := explain(f.why, bootstrap)
			return &fault{what: f.what, why: inner, next: inner.next, code: inner.code}
		}
		if f.code == 0 {
			return &fault{what: f.what, why: f.why, next: f.next, code: ExitError}
		}
		return f
	}
	if f := explainNetwork(err, bootstrap); f != nil {
		return f
	}
	var unknown *connect.UnknownPropertyError
	var bad *connect.PropertyError
	switch {
	case errors.As(err, &unknown):
		f := &fault{why: err, code: ExitUsage}
		if _, ok := config.Lookup(config.Broker, unknown.Name); ok {
			f.next = "-X sets client properties here; broker keys are set with: klamm config set broker/ID " + unknown.Name + "=..."
		}
		return f
	case errors.As(err, &bad):
		return &fault{why: err, code: ExitUsage}
	case errors.Is(err, vfs.ErrLocked):
		return &fault{why: err, next: "stop the other node, or give this one a directory of its own: --data DIR", code: ExitError}
	case errors.Is(err, syscall.EADDRINUSE):
		return &fault{why: err, next: "stop what listens there, or choose another port with --listen, --http-listen or --node-listen HOST:PORT; port 0 is any",
			code: ExitError}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return &fault{why: err, code: ExitError}
	}
	if ke := (*kerr.Error)(nil); errors.As(err, &ke) {
		return &fault{why: err, next: nextFor(ke), code: ExitError}
	}
	return &fault{why: err, code: ExitError}
}

func explainNetwork(err error, bootstrap string) *fault {
	var dial *net.OpError
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return &fault{what: "interrupted", code: ExitError}
	case errors.As(err, &dns) && !strings.Contains(bootstrap, dns.Name):
		return &fault{what: "cannot find " + dns.Name + ", where " + bootstrap + " sends its clients", why: errors.New(dns.Err), next: nextAdvertised, code: ExitError}
	case errors.As(err, &dns):
		return &fault{what: "cannot find " + dns.Name, why: errors.New(dns.Err), next: "check the address given with -b", code: ExitError}
	case errors.As(err, &dial) && dial.Op == "dial":
		f := &fault{what: "cannot reach " + bootstrap, why: dial.Err, code: ExitError,
			next: "start a node with: klamm server   or name another one with: -b HOST:PORT"}
		if elsewhere(dial.Addr, bootstrap) {
			f.what, f.next = "cannot reach "+dial.Addr.String()+", where "+bootstrap+" sends its clients", nextAdvertised
		}
		if dial.Timeout() {
			f.code = ExitTimeout
		}
		return f
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &fault{what: "timed out", why: err, next: "see whether the node answers: klamm cluster health -b " + bootstrap, code: ExitTimeout}
	}
	return nil
}

// nextAdvertised is for a node that answers, but under another address than the one it gives to clients.
const nextAdvertised = "correct advertised.listeners of that node, or leave it out: then clients are answered with the address they dialled"

// elsewhere reports that addr is certainly none of the bootstrap addresses: names may stand for any host, so only the ports are compared.
func elsewhere(addr net.Addr, bootstrap string) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	for b := range strings.SplitSeq(bootstrap, ",") {
		_, port, err := net.SplitHostPort(strings.TrimSpace(b))
		if err != nil || port == strconv.Itoa(tcp.Port) {
			return false
		}
	}
	return true
}

// nextFor is the command that helps with an error of the protocol.
func nextFor(e *kerr.Error) string {
	switch e.Code {
	case kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code:
		return "see what is there: klamm topic list"
	case kerr.TopicAlreadyExists.Code:
		return "look at it: klamm topic describe NAME   or pass --if-not-exists"
	case kerr.GroupIDNotFound.Code:
		return "see what is there: klamm group list"
	case kerr.NonEmptyGroup.Code, kerr.UnknownMemberID.Code:
		return "stop its consumers first; see them: klamm group describe NAME"
	case kerr.InvalidConfig.Code:
		return "see the keys and their values: klamm config describe TARGET"
	case kerr.InvalidReplicationFactor.Code:
		return "see how many brokers there are: klamm broker list"
	case kerr.MessageTooLarge.Code:
		return "allow larger batches: klamm config set topic/NAME max.message.bytes=BYTES"
	}
	return ""
}
