package commitlog

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// TestKafkaReadsOurFiles lets Kafka's own dump tool read a log in all its parts:
//
//	KLAMM_KAFKA_DUMP="kafka-dump-log.sh" go test ./internal/commitlog -run TestKafkaReadsOurFiles
//
// Last run with Apache Kafka 4.3.1. Without the variable it does nothing.
func TestKafkaReadsOurFiles(t *testing.T) {
	tool := strings.Fields(os.Getenv("KLAMM_KAFKA_DUMP"))
	if len(tool) == 0 {
		t.Skip("KLAMM_KAFKA_DUMP is not set")
	}
	w := newWorld(t)
	w.fs = vfs.OS()
	w.opts.Path = t.TempDir()
	w.cfg.Segment.Bytes = 60_000
	w.cfg.Segment.IndexIntervalBytes = 4096
	l := w.open()
	codecs := []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}
	ts := epochTime().UnixMilli()
	for i := range 300 {
		at := ts + int64(i*1000)
		if i%7 == 0 {
			at -= 90_000 // the largest timestamp is not always the last
		}
		mustAppend(t, l, spec{n: 1 + i%20, size: 50, ts: at, codec: codecs[i%5]}.build())
		mustAppend(t, l, spec{n: 2, size: 300, ts: at, pid: model.ProducerID(1 + i%3), seq: int32(i / 3 * 2)}.build())
		if i%50 == 10 {
			mustAppend(t, l, txn(9, 0, int32(i/50), 1))
			mustAppend(t, l, endTxn(9, 0, i%100 == 60, 3))
		}
		l.AssignEpoch(model.LeaderEpoch(i/40), l.End())
	}
	if err := w.dir.Close(5); err != nil {
		t.Fatal(err)
	}
	w.dir = nil
	var files []string
	for _, suffix := range []string{"log", "index", "timeindex", "txnindex", "snapshot"} {
		found, err := filepath.Glob(w.opts.Path + "/t-0/*." + suffix)
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s files: %v", suffix, err)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	bad := regexp.MustCompile(`(?i)mismatch|not found|could not|corrupt|exception|invalid|out of order|isvalid: false|fail|error`)
	for _, args := range [][]string{{"--deep-iteration"}, {"--deep-iteration", "--verify-index-only"}, {"--index-sanity-check"}} {
		args = append(args, "--files", strings.Join(files, ","))
		out, err := exec.Command(tool[0], append(tool[1:], args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", args[:2], err, out)
		}
		for line := range strings.Lines(string(out)) {
			if bad.MatchString(line) {
				t.Errorf("%v: %s", args[:2], line)
			}
		}
		t.Logf("%v: %d lines about %d files", args[:2], strings.Count(string(out), "\n"), len(files))
		if dump := os.Getenv("KLAMM_KAFKA_DUMP_OUT"); dump != "" {
			if err := os.WriteFile(filepath.Join(dump, strings.TrimLeft(args[len(args)-3], "-")+".txt"), out, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
