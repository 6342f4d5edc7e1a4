package node_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/klammtest"
)

// several starts a broker on two data directories.
func several(t *testing.T) (r *rig, dirs []string) {
	t.Helper()
	dirs = []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	return start(t, klammtest.Data(strings.Join(dirs, ","))), dirs
}

// in lists the partitions of a topic that lie in a directory.
func in(t *testing.T, dir, topic string) (partitions []int32) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, topic+"-*", "partition.metadata"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		var p int32
		name := filepath.Base(filepath.Dir(f))
		if _, err := fmt.Sscanf(strings.TrimPrefix(name, topic+"-"), "%d", &p); err == nil {
			partitions = append(partitions, p)
		}
	}
	return partitions
}

func (r *rig) sendTo(topic string, p int32) error {
	rec := record(topic, "k", "v")
	rec.Partition = p
	cl := r.client()
	defer cl.Close()
	return cl.ProduceSync(r.ctx, rec).FirstErr()
}

// Partitions are spread over the data directories, and each is found again where it is.
func TestPartitionsAreSpreadOverDirectories(t *testing.T) {
	t.Parallel()
	r, dirs := several(t)
	_, err := r.adm.CreateTopic(r.ctx, 6, 1, nil, "spread")
	r.ok(err)
	for p := range int32(6) {
		r.ok(r.sendTo("spread", p))
	}
	a := in(t, dirs[0], "spread")
	if b := in(t, dirs[1], "spread"); len(a) != 3 || len(b) != 3 {
		t.Errorf("%v lie in the first directory, %v in the second", a, b)
	}
	r.broker.Restart()
	ends, err := r.adm.ListEndOffsets(r.ctx, "spread")
	r.ok(err)
	for p := range int32(6) {
		if o, _ := ends.Lookup("spread", p); o.Offset != 1 {
			t.Errorf("partition %d ends at %d", p, o.Offset)
		}
	}
	if again := in(t, dirs[0], "spread"); len(again) != len(a) {
		t.Errorf("after a restart %v lie in the first directory, %v before", again, a)
	}
}

// A data directory that fails takes its own partitions along and nothing else: the others are served, the node says what is wrong, and the
// partitions are back with the directory at the next start.
func TestFailedDirectoryLeavesTheOthersServed(t *testing.T) {
	t.Parallel()
	r, dirs := several(t)
	_, err := r.adm.CreateTopic(r.ctx, 2, 1, nil, "split")
	r.ok(err)
	r.ok(r.sendTo("split", 0))
	r.ok(r.sendTo("split", 1))
	good, bad := in(t, dirs[0], "split")[0], in(t, dirs[1], "split")[0]

	// A disk that is gone: the next file that is created fails.
	away := dirs[1] + ".away"
	r.ok(os.Rename(dirs[1], away))
	r.ok(os.WriteFile(dirs[1], nil, 0o600))
	r.soon("the directory goes offline", func() (bool, string) {
		logs, err := r.adm.DescribeBrokerLogDirs(r.ctx, 1, nil)
		r.ok(err)
		var failed []string
		logs.Each(func(d kadm.DescribedLogDir) {
			if d.Err != nil {
				failed = append(failed, d.Dir+": "+d.Err.Error())
			}
		})
		return len(failed) == 1 && strings.HasPrefix(failed[0], dirs[1]), fmt.Sprint(failed)
	})
	r.ok(r.sendTo("split", good))
	r.wantCode(r.once("split", bad), kerr.KafkaStorageError)
	_, err = r.adm.CreateTopic(r.ctx, 2, 1, nil, "new")
	r.ok(err)
	r.ok(r.sendTo("new", 0))
	r.ok(r.sendTo("new", 1))
	resp, err := http.Get("http://" + r.broker.HTTPAddr() + "/readyz?verbose")
	r.ok(err)
	body, err := io.ReadAll(resp.Body)
	r.ok(err)
	r.ok(resp.Body.Close())
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "1 of 2 online") {
		t.Errorf("readyz says %d %s", resp.StatusCode, body)
	}
	http.DefaultClient.CloseIdleConnections()

	r.broker.Stop()
	r.ok(os.Remove(dirs[1]))
	r.ok(os.Rename(away, dirs[1]))
	r.broker.Restart()
	r.ok(r.sendTo("split", bad))
	ends, err := r.adm.ListEndOffsets(r.ctx, "split")
	r.ok(err)
	if o, _ := ends.Lookup("split", bad); o.Offset != 2 {
		t.Errorf("the partition ends at %d, want 2", o.Offset)
	}
}

// once is sendTo without the patience of clients, who try again what a failed disk refuses.
func (r *rig) once(topic string, p int32) error {
	rec := record(topic, "k", "v")
	rec.Partition = p
	cl := r.client(kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	defer cl.Close()
	return cl.ProduceSync(r.ctx, rec).FirstErr()
}

// A stop that cannot leave the marks of a clean end is no clean end, and its exit code says so.
func TestStopThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	n, err := node.Start(t.Context(), node.Flags{
		Data: dir, Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(); !errors.Is(err, commitlog.ErrOffline) {
		t.Errorf("stopped with %v", err)
	}
}
