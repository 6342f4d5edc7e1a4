package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/klammtest"
)

// place is where a broker has its replica of t-0, and where that is going to.
func place(ctx context.Context, adm *kadm.Client, broker int32) (at, to string, err error) {
	dirs, err := adm.DescribeBrokerLogDirs(ctx, broker, nil)
	if err != nil {
		return "", "", err
	}
	for _, d := range dirs {
		if p, ok := d.Topics.Lookup("t", 0); ok {
			if p.IsFuture {
				to = d.Dir
			} else {
				at = d.Dir
			}
		}
	}
	return at, to, nil
}

func moveDir(ctx context.Context, adm *kadm.Client, broker int32, to string) error {
	var req kadm.AlterReplicaLogDirsReq
	req.Add(to, kadm.TopicsSet{"t": {0: {}}})
	resp, err := adm.AlterBrokerReplicaLogDirs(ctx, broker, req)
	if err != nil {
		return err
	}
	return resp["t"][0].Err
}

// TestReplicaMovesBetweenDirectories of one broker while it leads under load, again and again, with its end in the middle.
func TestReplicaMovesBetweenDirectories(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	home := t.TempDir()
	one, two := filepath.Join(home, "one"), filepath.Join(home, "two")
	b := c.Join(klammtest.Data(one + "," + two))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 1, "min.insync.replicas", "2")
	id := int32(b.NodeID())
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: {id, 1, 2}}); err != nil {
		t.Fatal(err)
	}
	settled(ctx, t, adm, "t")
	inSync(ctx, t, adm, "t", 3)
	if err := moveDir(ctx, adm, id, filepath.Join(home, "three")); !errors.Is(err, kerr.LogDirNotFound) {
		t.Fatalf("to a directory that is not there: %v", err)
	}
	eventually(ctx, t, "a broker that has no replica any more says so", func() error {
		if err := moveDir(ctx, adm, 3, c.Broker(3).DataDir()); !errors.Is(err, kerr.ReplicaNotAvailable) {
			return fmt.Errorf("of a broker that has no replica: %v", err) //nolint:errorlint // it may be nil
		}
		return nil
	})
	l := startLoad(t, c, "t", 1)
	eventually(ctx, t, "progress", func() error { return more(l, 0, 500) })
	for round := range 6 {
		l.longest()
		at, _, err := place(ctx, adm, id)
		if err != nil {
			t.Fatal(err)
		}
		other := map[string]string{one: two, two: one}[at]
		if err := moveDir(ctx, adm, id, other); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			b.Kill()
			c.Start()
		}
		eventually(ctx, t, "the replica is in the other directory", func() error {
			at, to, err := place(ctx, adm, id)
			if err == nil && (at != other || to != "") {
				err = fmt.Errorf("it is in %q and goes to %q", at, to)
			}
			return err
		})
		if _, err := os.Stat(filepath.Join(at, "t-0")); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("what it left behind: %v", err)
		}
		inSync(ctx, t, adm, "t", 3)
		t.Logf("round %d: longest pause %v", round, l.longest())
	}
	l.check(c)
}

// TestBrokenDirectoryAtStart: the node starts with the others. What is in the broken one is offline, and comes back with it.
func TestBrokenDirectoryAtStart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	home := t.TempDir()
	one, two := filepath.Join(home, "one"), filepath.Join(home, "two")
	b := c.Join(klammtest.Data(one + "," + two))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 1)
	id := int32(b.NodeID())
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: {id, 1, 2}}); err != nil {
		t.Fatal(err)
	}
	settled(ctx, t, adm, "t")
	if err := moveDir(ctx, adm, id, two); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "the replica is in the second directory", func() error {
		at, to, err := place(ctx, adm, id)
		if err == nil && (at != two || to != "") {
			err = fmt.Errorf("it is in %q and goes to %q", at, to)
		}
		return err
	})
	inSync(ctx, t, adm, "t", 3)
	b.Stop()
	if err := os.Rename(two, two+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two, []byte("no directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Start()
	eventually(ctx, t, "the replica is offline", func() error {
		p := replicasOf(ctx, t, adm, "t", 0)
		if !slices.Equal(p.OfflineReplicas, []int32{id}) || p.Leader == id || slices.Contains(p.ISR, id) {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	dirs, err := adm.DescribeBrokerLogDirs(ctx, id, nil)
	if err != nil || !errors.Is(dirs[two].Err, kerr.KafkaStorageError) || dirs[one].Err != nil {
		t.Fatalf("%+v %v", dirs, err)
	}
	if _, ok := dirs[one].Topics.Lookup("t", 0); ok {
		t.Fatal("the replica was begun anew")
	}
	b.Stop()
	if err := errors.Join(os.Remove(two), os.Rename(two+".away", two)); err != nil {
		t.Fatal(err)
	}
	c.Start()
	inSync(ctx, t, adm, "t", 3)
	if at, _, err := place(ctx, adm, id); err != nil || at != two {
		t.Fatalf("%q %v", at, err)
	}
}

// TestFailedDirectoryLosesItsLeaders: a broker that lives on while one of its disks fails leads nothing any more that was on it (KIP-112), and
// producers go on with the others.
func TestFailedDirectoryLosesItsLeaders(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	home := t.TempDir()
	one, two := filepath.Join(home, "one"), filepath.Join(home, "two")
	b := c.Join(klammtest.Data(one + "," + two))
	adm := kadm.NewClient(clusterClient(t, c))
	makeTopic(ctx, t, adm, "t", 2, "segment.bytes", "1048576", "min.insync.replicas", "2")
	id := int32(b.NodeID())
	var there kadm.AlterReplicaLogDirsReq
	there.Add(two, kadm.TopicsSet{"t": {0: {}, 1: {}}})
	if _, err := adm.AlterBrokerReplicaLogDirs(ctx, id, there); err != nil {
		t.Fatal(err)
	}
	if err := reassign(ctx, t, adm, "t", map[int32][]int32{0: {id, 1, 2}, 1: {id, 1, 2}}); err != nil {
		t.Fatal(err)
	}
	settled(ctx, t, adm, "t")
	eventually(ctx, t, "it leads from the second directory", func() error {
		set := kadm.TopicsSet{}
		set.Add("t", 0)
		if _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set); err != nil {
			return err
		}
		at, _, err := place(ctx, adm, id)
		if p := replicasOf(ctx, t, adm, "t", 0); p.Leader != id || at != two || err != nil {
			return fmt.Errorf("%+v in %q, %w", p, at, err)
		}
		return nil
	})
	l := startLoad(t, c, "t", 1)
	eventually(ctx, t, "progress", func() error { return more(l, 0, 100) })
	if err := os.Rename(two, two+".gone"); err != nil { // the next segment finds no directory
		t.Fatal(err)
	}
	cl := clusterClient(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for range 30 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 1, Value: make([]byte, 100_000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(ctx, t, "others lead", func() error {
		p := replicasOf(ctx, t, adm, "t", 0)
		if p.Leader == id || slices.Contains(p.ISR, id) || !slices.Equal(p.OfflineReplicas, []int32{id}) {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	t.Logf("longest pause %v", l.longest())
	b.Stop()
	if err := os.Rename(two+".gone", two); err != nil {
		t.Fatal(err)
	}
	c.Start()
	inSync(ctx, t, adm, "t", 3)
	l.check(c)
}
