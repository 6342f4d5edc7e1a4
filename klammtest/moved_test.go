package klammtest_test

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/klammtest"
)

// TestNodeThatMovedBeforeItHadMetadataIsFound: the leader sent to where it had been, and it waited for the leader, for ever. It knows no members yet, and
// the one it was told to join does not lead.
func TestNodeThatMovedBeforeItHadMetadataIsFound(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	m := awaitMembers(ctx, t, clusterClient(t, c), "voters [1 2 3], observers []")
	disk := vfs.NewMem(1)
	start := func(fs vfs.FS) (*node.Node, error) {
		return node.Start(ctx, node.Flags{
			Data: "/data", Join: c.NodeAddrs()[m.leader%3], Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0",
			Stdout: io.Discard, Stderr: io.Discard, World: node.World{Disk: fs},
		})
	}
	inLog := func(name string) bool { return strings.Contains(name, "klamm-metadata") }
	if n, err := start(vfs.NewFaulty(disk, vfs.Fault{Ops: vfs.OpCreate, Match: inLog, Err: syscall.EIO})); err == nil {
		_ = n.Stop()
		t.Fatal("started without a metadata log")
	}
	n, err := start(disk.KillClone()) // on another port
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
}
