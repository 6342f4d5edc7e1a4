package commitlog

import (
	"bytes"
	"errors"
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

// TestWeWriteWhatKafkaWrites opens the data directory of a stopped broker of Kafka, copies the batches of a topic with segment.bytes=1048576 to a
// log of ours as they were appended, and compares the files of sealed segments:
//
//	KLAMM_KAFKA_DATA=/path/to/log.dir KLAMM_KAFKA_TOPIC=seg go test ./internal/commitlog -run TestWeWriteWhatKafkaWrites
//
// Last run with Apache Kafka 4.3.1. Without the variables it does nothing.
func TestWeWriteWhatKafkaWrites(t *testing.T) {
	from, topic := os.Getenv("KLAMM_KAFKA_DATA"), os.Getenv("KLAMM_KAFKA_TOPIC")
	if from == "" || topic == "" {
		t.Skip("KLAMM_KAFKA_DATA and KLAMM_KAFKA_TOPIC are not set")
	}
	kafkas := newWorld(t)
	kafkas.fs, kafkas.opts.Path = vfs.OS(), t.TempDir()
	if err := os.CopyFS(kafkas.opts.Path, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	id, err := ReadIdentity(kafkas.fs, kafkas.opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	kafkas.opts.NodeID, kafkas.opts.ClusterID = id.NodeID, id.ClusterID
	d := kafkas.openDir()
	p := model.TopicPartition{Topic: topic}
	i := slices.IndexFunc(d.Found(), func(f FoundLog) bool { return f.TP == p })
	if i < 0 {
		t.Fatalf("found %v", d.Found())
	}
	source := kafkas.openTP(p, d.Found()[i].TopicID)
	w := newWorld(t)
	w.fs, w.opts.Path = vfs.OS(), t.TempDir()
	w.cfg = DefaultConfig()
	w.cfg.Segment.Bytes = 1 << 20
	ours := w.open()
	for next := source.Start(); next < source.End(); {
		s, err := source.Read(next, ReadOptions{End: source.End(), MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		info, err := ours.AppendFollower(b)
		if err != nil {
			t.Fatal(err)
		}
		next = info.Last + 1
	}
	bases := bases(ours)
	for _, base := range bases[:len(bases)-1] {
		for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix} {
			name := segmentFile(base, suffix)
			want, err1 := os.ReadFile(filepath.Join(from, p.String(), name))
			got, err2 := os.ReadFile(filepath.Join(w.opts.Path, "t-0", name))
			if err := errors.Join(err1, err2); err != nil {
				t.Error(err)
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes differ from Kafka's %d", name, len(got), len(want))
			}
		}
	}
	t.Logf("%d segments up to offset %d", len(bases), ours.End())
}
