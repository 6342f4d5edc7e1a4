package klammtest_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/klammtest"
	"github.com/klamm/klamm/test/process"
)

// freeAddr is an address where nobody listens, below the ports that the kernel gives away by itself, to any connection.
func freeAddr(t *testing.T) string {
	t.Helper()
	addrs, err := process.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// TestNodeThatFormsSaysWhatItWaitsFor: it lives, is not ready, and names who is missing.
func TestNodeThatFormsSaysWhatItWaitsFor(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	here, http, b, c := socket.Addr().String(), freeAddr(t), freeAddr(t), freeAddr(t)
	stop, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		n, err := node.Start(stop, node.Flags{
			Data: t.TempDir(), Listen: "127.0.0.1:0", HTTPListen: http, NodeListen: here, NodeSocket: socket, Join: strings.Join([]string{c, here, b}, ","), Stderr: &strings.Builder{},
		})
		if err == nil {
			err = fmt.Errorf("it started: %w", n.Stop())
		}
		ended <- err
	}()
	first, second := b, c
	if second < first {
		first, second = second, first
	}
	want := "[-] forming: waiting for " + first + ", " + second + "\nnot ready\n"
	eventually(ctx, t, want, func() error {
		got, err := getHTTP(ctx, http, "/readyz")
		if err == nil && got != want {
			err = fmt.Errorf("%q", got)
		}
		return err
	})
	for path, want := range map[string]string{"/livez": "ok\n", "/startupz": "starting\n", "/metrics": "go_goroutines", "/api/v1/events": `{"events":[]}`, "/": "starting"} {
		if got, err := getHTTP(ctx, http, path); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %v %q", path, err, got)
		}
	}
	end()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "looking for a cluster at") {
		t.Errorf("ended with %v", err)
	}
}

// TestPortInUseLeavesNoTrace: whichever port it is, nothing is written before that is known.
func TestPortInUseLeavesNoTrace(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, change := range map[string]func(*node.Flags, string){
		"clients": func(f *node.Flags, addr string) { f.Listen = addr },
		"nodes":   func(f *node.Flags, addr string) { f.NodeListen = addr },
		"HTTP":    func(f *node.Flags, addr string) { f.HTTPListen = addr },
	} {
		f := node.Flags{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Stderr: &strings.Builder{}}
		change(&f, taken.Addr().String())
		n, err := node.Start(t.Context(), f)
		if err == nil {
			_ = n.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(f.Data); !os.IsNotExist(err) {
			t.Errorf("%s: the data directory was touched: %v", name, err)
		}
	}
	// What the port was wanted for works once it is free.
	b := klammtest.NewBroker(t)
	b.Restart()
}
