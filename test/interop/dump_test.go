package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// complaints are what dump-log says about a file that is not in order. That "-1 is followed by" the base offset it says of every segment but a
// log's first, Kafka's own too.
func complaints() []string {
	return []string{`Mismatches in`, `\n +\d+ is followed by`, `Found timestamp mismatch`, `Index timestamp: `, `isvalid: false`, `Out of order timestamp`, `corrupt`, `Exception`, `Error`}
}

// dumpLog lets Kafka's own reader walk segments, indexes and snapshots that the broker wrote.
func (k tools) dumpLog(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.segments --partitions 1 --config cleanup.policy=delete")
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		k.do(t, "", "producer-perf-test", "--topic tools.segments --num-records 3000 --record-size 600 --throughput -1 --command-property compression.type="+codec, `3000 records sent`)
	}
	dir := partitionDir(t, k.node.data[0], "tools.segments-0")
	logs := filesOf(t, dir, "*.log")
	if len(logs) < 3 {
		t.Fatalf("%d segments in %s, expected the topic to have rolled", len(logs), dir)
	}
	dump := func(what string, want string, files []string, more ...string) {
		t.Helper()
		args := append([]string{"--files", strings.Join(files, ",")}, more...)
		k.run(t, call{what: what, tool: "dump-log", args: args, local: true, want: []string{want}, not: complaints()})
	}
	dump("segments, every record", `baseOffset: 0 lastOffset: \d+ count: \d+ .*magic: 2 compresscodec: none crc: \d+ isvalid: true.*compresscodec: zstd`, logs, "--print-data-log", "--deep-iteration")
	dump("offset indexes", `offset: \d+ position: \d+`, filesOf(t, dir, "*.index"))
	dump("offset indexes, sanity check", `passed sanity check`, filesOf(t, dir, "*.index"), "--index-sanity-check")
	dump("time indexes", `timestamp: \d+ offset: \d+`, filesOf(t, dir, "*.timeindex"))
	// Not the last one: Kafka preallocates the file that it still writes to.
	times := filesOf(t, dir, "*.timeindex")
	dump("time indexes, sanity check", `passed sanity check`, times[:len(times)-1], "--index-sanity-check")
	dump("producer snapshots", `producerId: \d+ producerEpoch: \d+ .*lastSequence: \d+`, filesOf(t, dir, "*.snapshot"))
}

// groupLog reads __consumer_offsets as Kafka does.
func (k tools) groupLog(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.committed --partitions 1")
	k.produce(t, "tools.committed", "a\nb\nc\n")
	k.do(t, "", "console-consumer", "--topic tools.committed --group tools.committers --from-beginning --max-messages 3 --timeout-ms 15000")
	k.do(t, "", "topics", "--describe --topic __consumer_offsets", `PartitionCount: 50`, `cleanup\.policy=compact`)
	k.do(t, "offsets formatter on __consumer_offsets", "console-consumer",
		"--topic __consumer_offsets --from-beginning --timeout-ms 4000 --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter",
		`"group":"tools\.committers","topic":"tools\.committed","partition":0`, `"offset":3`)
	k.do(t, "group metadata formatter on __consumer_offsets", "console-consumer",
		"--topic __consumer_offsets --from-beginning --timeout-ms 4000 --formatter org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter",
		`"group":"tools\.committers"`, `"protocolType":"consumer"`)
	var logs []string
	for _, l := range filesOf(t, k.node.data[0], "__consumer_offsets-*/*.log") {
		if info, err := os.Stat(l); err == nil && info.Size() > 0 {
			logs = append(logs, l)
		}
	}
	k.run(t, call{what: "--offsets-decoder on __consumer_offsets", tool: "dump-log", local: true, args: []string{"--files", strings.Join(logs, ","), "--offsets-decoder"},
		want: []string{`"group":"tools\.committers","topic":"tools\.committed","partition":0`, `"protocolType":"consumer"`}, not: complaints()})
}

// partitionDir finds a partition's directory below the data directory.
func partitionDir(t *testing.T, data, name string) string {
	t.Helper()
	dir := filepath.Join(data, name)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// filesOf lists the files of a directory that match, at least one.
func filesOf(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in %s (%v)", pattern, dir, err)
	}
	return files
}
