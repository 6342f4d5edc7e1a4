package klammtest_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/klammtest"
)

// TestCrashWhileJoiningFoundsNoOtherCluster: a node that had the cluster's name on its disk, but was killed before it had a metadata log, took the
// missing log for that of a new cluster, of which it was the only voter: two controllers for one cluster (M2). The simulation found it.
func TestCrashWhileJoiningFoundsNoOtherCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	disk := vfs.NewMem(1)
	start := func(fs vfs.FS) (*node.Node, error) {
		return node.Start(ctx, node.Flags{
			Data: "/data", Join: c.NodeAddrs()[0], Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0",
			Stdout: io.Discard, Stderr: io.Discard, World: node.World{Disk: fs},
		})
	}
	inLog := func(name string) bool { return strings.Contains(name, "klamm-metadata") }
	if n, err := start(vfs.NewFaulty(disk, vfs.Fault{Ops: vfs.OpCreate, Match: inLog, Err: syscall.EIO})); err == nil {
		_ = n.Stop()
		t.Fatal("started without a metadata log")
	}
	disk = disk.KillClone()
	if _, err := disk.Stat("/data/meta.properties"); err != nil {
		t.Fatalf("this test wants to stop between the two: %v", err)
	}

	n, err := start(disk)
	if err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(clusterClient(t, c))
	eventually(ctx, t, "all of them belong together", func() error {
		m, err := adm.Metadata(ctx)
		if err == nil && fmt.Sprint(m.Brokers.NodeIDs()) != "[1 2 3 4]" {
			err = fmt.Errorf("brokers %v", m.Brokers.NodeIDs())
		}
		return err
	})
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := disk.Stat("/data/klamm-directory.id"); err == nil {
		t.Error("the draft is still there")
	}

	if err := disk.RemoveAll("/data/klamm-metadata"); err != nil {
		t.Fatal(err)
	}
	if n, err = start(disk.KillClone()); err == nil {
		_ = n.Stop()
		t.Fatal("a member without its metadata log started")
	}
	if !strings.Contains(err.Error(), "klamm-metadata") {
		t.Errorf("%v", err)
	}
}
