package commitlog

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// BenchmarkStart opens 10,000 logs with a record each, after a shutdown in order and after a crash.
func BenchmarkStart(b *testing.B) {
	const n = 10_000
	dir := b.TempDir()
	open := func() (*Dir, []*Log) {
		begun := time.Now()
		d, err := OpenDir(Env{FS: vfs.OS(), Clock: clock.Real(), Random: &counter{}}, DirOptions{Path: dir, NodeID: 1, ClusterID: "c", CheckpointInterval: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		found := time.Since(begun)
		logs := make([]*Log, n)
		var wg sync.WaitGroup
		for t := range 4 {
			wg.Go(func() {
				for i := t; i < n; i += 4 {
					tp := model.TopicPartition{Topic: fmt.Sprintf("topic-%d", i/1000), Partition: int32(i % 1000)}
					l, err := d.Open(LogOptions{TP: tp, TopicID: testID(), Config: DefaultConfig()})
					if err != nil {
						b.Error(err)
						return
					}
					logs[i] = l
				}
			})
		}
		wg.Wait()
		b.Logf("directory read in %s, with logs %s", found, time.Since(begun))
		return d, logs
	}
	begun := time.Now()
	d, logs := open()
	b.Logf("created in %s", time.Since(begun))
	begun = time.Now()
	batch := benchBatch(1024)
	for _, l := range logs {
		mustAppend(b, l, batch)
	}
	b.Logf("appended in %s", time.Since(begun))
	begun = time.Now()
	if err := d.Close(1); err != nil {
		b.Fatal(err)
	}
	b.Logf("closed in %s", time.Since(begun))
	for _, clean := range []bool{true, false} {
		b.Run(map[bool]string{true: "clean", false: "crash"}[clean], func(b *testing.B) {
			for b.Loop() {
				d, _ := open()
				b.StopTimer()
				begun := time.Now()
				if err := d.Close(1); err != nil {
					b.Fatal(err)
				}
				if !clean {
					if err := os.Remove(filepath.Join(dir, cleanMarkerFile)); err != nil {
						b.Fatal(err)
					}
				}
				b.Logf("closed in %s", time.Since(begun))
				b.StartTimer()
			}
		})
	}
}
