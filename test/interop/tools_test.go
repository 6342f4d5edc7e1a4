package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// tools runs Apache Kafka's command line tools on the node under test.
type tools struct {
	sh   *kafkaref.Shell
	node target
}

// TestTools is every tool of Kafka 4.3.1 that works on one node.
func TestTools(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	node := startTarget(t, "log.segment.bytes=1048576", "log.index.interval.bytes=256")
	k := tools{sh: kafkaref.NewShell(t), node: node}
	t.Run("topics", k.topics)
	t.Run("configs", k.configs)
	t.Run("console", k.console)
	t.Run("consumer-groups", k.groups)
	t.Run("reset-offsets", k.resetOffsets)
	t.Run("offsets", k.offsets)
	t.Run("log-dirs", k.logDirs)
	t.Run("perf", k.perf)
	t.Run("cluster", k.cluster)
	t.Run("reassign", k.reassign)
	t.Run("dump-log", k.dumpLog)
	t.Run("group-log", k.groupLog)
}

// call is one run of a tool: what it is given, and what must show in its output.
type call struct {
	// what is said about it in the documentation.
	what string
	tool string
	args []string
	// stdin is what the tool reads.
	stdin string
	// want are regular expressions that its output, standard error included, must match; each also over several lines.
	want []string
	// not are regular expressions that must not match.
	not []string
	// fails is true for a call that must end with a status other than 0.
	fails bool
	// local is true for a tool that is not given the broker's address.
	local bool
}

// run runs a tool, checks what it answers and returns its output.
func (k tools) run(t *testing.T, c call) string {
	t.Helper()
	args := c.args
	if !c.local {
		args = append([]string{"--bootstrap-server", k.node.addr}, args...)
	}
	r := k.sh.Do(t, kafkaref.Call{Tool: c.tool, Args: args, Stdin: c.stdin, Limit: time.Minute})
	all := r.Out + "\n" + r.Err
	shown := func() string {
		return fmt.Sprintf("kafka-%s %s\nexit %d\n%s", c.tool, strings.Join(c.args, " "), r.Exit, all)
	}
	if (r.Exit != 0) != c.fails {
		t.Errorf("%s: exit status %d:\n%s", c.what, r.Exit, shown())
		return r.Out
	}
	for _, w := range c.want {
		if !regexp.MustCompile("(?s)" + w).MatchString(all) {
			t.Errorf("%s: no match for %q:\n%s", c.what, w, shown())
		}
	}
	for _, w := range c.not {
		if regexp.MustCompile("(?s)" + w).MatchString(all) {
			t.Errorf("%s: %q must not match:\n%s", c.what, w, shown())
		}
	}
	if c.what != "" && !t.Failed() {
		recordTool(c.tool, c.what)
	}
	return r.Out
}

// do is run for arguments in one string, separated by blanks.
func (k tools) do(t *testing.T, what, tool, args string, want ...string) string {
	t.Helper()
	return k.run(t, call{what: what, tool: tool, args: strings.Fields(args), want: want})
}

// refused is do for a call that fails.
func (k tools) refused(t *testing.T, what, tool, args string, want ...string) {
	t.Helper()
	k.run(t, call{what: what, tool: tool, args: strings.Fields(args), want: want, fails: true})
}

// file writes a file for a tool and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// produce sends lines by the console producer.
func (k tools) produce(t *testing.T, topic, lines string, more ...string) {
	t.Helper()
	k.run(t, call{what: "", tool: "console-producer", args: append([]string{"--topic", topic}, more...), stdin: lines})
}

func (k tools) topics(t *testing.T) {
	copies := strconv.Itoa(k.node.brokers)
	k.do(t, "create with partitions and configs", "topics", "--create --topic tools.topic --partitions 3 --replication-factor "+copies+" --config retention.ms=3600000 --config cleanup.policy=compact",
		`Created topic tools\.topic\.`)
	k.do(t, "create with the broker's defaults", "topics", "--create --topic tools.defaults", `Created topic tools\.defaults\.`)
	k.do(t, "", "topics", "--describe --topic tools.defaults", `PartitionCount: 1\tReplicationFactor: `+copies)
	k.do(t, "create if not exists", "topics", "--create --if-not-exists --topic tools.topic")
	k.refused(t, "refuse an existing topic", "topics", "--create --topic tools.topic", `Topic 'tools\.topic' already exists`)
	k.refused(t, "refuse a bad config", "topics", "--create --topic tools.bad --config retention.ms=-5", `Invalid value -5 for configuration retention\.ms`)
	k.refused(t, "refuse an unknown config", "topics", "--create --topic tools.bad --config no.such=1", `Unknown topic config name: no\.such`)
	k.refused(t, "refuse a replication factor above the number of brokers", "topics", "--create --topic tools.bad --replication-factor "+strconv.Itoa(k.node.brokers+1), `INVALID_REPLICATION_FACTOR|Unable to replicate the partition \d time`)
	k.do(t, "list", "topics", "--list", `(^|\n)tools\.topic\n`)
	k.do(t, "describe", "topics", "--describe --topic tools.topic",
		`Topic: tools\.topic\tTopicId: \S{22}\tPartitionCount: 3\tReplicationFactor: `+copies+`\tConfigs: \S*cleanup\.policy=compact`, `retention\.ms=3600000`,
		`Topic: tools\.topic\tPartition: 2\tLeader: \d+\tReplicas: [\d,]+\tIsr: [\d,]+\tElr: \tLastKnownElr: `)
	k.do(t, "add partitions", "topics", "--alter --topic tools.topic --partitions 5")
	k.refused(t, "refuse fewer partitions", "topics", "--alter --topic tools.topic --partitions 2", `currently has 5 partition`)
	k.do(t, "", "topics", "--describe --topic tools.topic", `PartitionCount: 5`)
	k.run(t, call{what: "describe what is under-replicated, unavailable or at the minimum", tool: "topics", args: strings.Fields("--describe --under-replicated-partitions"), not: []string{`Topic:`}})
	k.run(t, call{tool: "topics", args: strings.Fields("--describe --unavailable-partitions"), not: []string{`Topic:`}})
	k.run(t, call{tool: "topics", args: strings.Fields("--describe --under-min-isr-partitions"), not: []string{`Topic:`}})
	k.do(t, "describe topics with overrides", "topics", "--describe --topics-with-overrides", `tools\.topic`)
	k.do(t, "delete", "topics", "--delete --topic tools.defaults")
	k.refused(t, "refuse an unknown topic", "topics", "--delete --topic tools.defaults", `does not exist`)
	k.run(t, call{tool: "topics", args: []string{"--list"}, not: []string{`tools\.defaults`}})
}

func (k tools) configs(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.config")
	k.do(t, "set a topic's configs", "configs", "--alter --entity-type topics --entity-name tools.config --add-config retention.ms=7200000,max.message.bytes=2000000", `Completed updating config for topic tools\.config`)
	k.do(t, "describe a topic's own configs", "configs", "--describe --entity-type topics --entity-name tools.config", `Dynamic configs for topic tools\.config are:`,
		`retention\.ms=7200000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=7200000`)
	k.do(t, "describe all of a topic's configs", "configs", "--describe --all --entity-type topics --entity-name tools.config", `All configs for topic tools\.config are:`,
		`cleanup\.policy=delete`, `segment\.bytes=1048576 sensitive=false synonyms=\{STATIC_BROKER_CONFIG:log\.segment\.bytes=1048576, DEFAULT_CONFIG:log\.segment\.bytes=1073741824\}`)
	k.do(t, "remove a topic's config", "configs", "--alter --entity-type topics --entity-name tools.config --delete-config retention.ms", `Completed updating`)
	k.run(t, call{tool: "configs", args: strings.Fields("--describe --entity-type topics --entity-name tools.config"), not: []string{`retention\.ms`}})
	k.refused(t, "refuse a bad value", "configs", "--alter --entity-type topics --entity-name tools.config --add-config retention.ms=never", `Invalid value never for configuration retention\.ms`)
	k.refused(t, "refuse an unknown topic", "configs", "--alter --entity-type topics --entity-name tools.nowhere --add-config retention.ms=1", `UnknownTopicOrPartition|does not exist`)
	k.do(t, "describe a broker", "configs", "--describe --all --entity-type brokers --entity-name "+k.brokerIDs(t)[0], `log\.retention\.hours=168`, `num\.partitions=1`, `message\.max\.bytes=1048588`)
	k.do(t, "set a broker's config for all brokers", "configs", "--alter --entity-type brokers --entity-default --add-config log.retention.ms=86400000", `Completed updating default config for brokers`)
	k.do(t, "describe the default of brokers", "configs", "--describe --entity-type brokers --entity-default", `log\.retention\.ms=86400000 sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG:log\.retention\.ms=86400000`)
	k.do(t, "a broker's config shows in its topics", "configs", "--describe --all --entity-type topics --entity-name tools.config", `retention\.ms=86400000 sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG`)
	k.do(t, "remove a broker's config", "configs", "--alter --entity-type brokers --entity-default --delete-config log.retention.ms", `Completed updating`)
	k.refused(t, "refuse a read-only config of a broker", "configs", "--alter --entity-type brokers --entity-default --add-config process.roles=broker", `(?i)cannot update`)
}

// brokerIDs are the nodes' ids, as the cluster tool lists them.
func (k tools) brokerIDs(t *testing.T) []string {
	t.Helper()
	out := k.run(t, call{tool: "cluster", args: []string{"list-endpoints", "--bootstrap-server", k.node.addr}, local: true})
	var ids []string
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) > 1 && words[0] != "ID" {
			ids = append(ids, words[0])
		}
	}
	if len(ids) != k.node.brokers {
		t.Fatalf("not %d brokers:\n%s", k.node.brokers, out)
	}
	return ids
}

func (k tools) console(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.console --partitions 1")
	k.run(t, call{what: "keys and headers", tool: "console-producer", args: strings.Fields("--topic tools.console --reader-property parse.key=true --reader-property parse.headers=true --reader-property key.separator=;"),
		stdin: "h1:a,h2:b\tk1;v1\nh1:c\tk2;v2\n"})
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		k.run(t, call{what: "compression " + codec, tool: "console-producer", args: strings.Fields("--topic tools.console --compression-codec " + codec), stdin: strings.Repeat("a line with "+codec+"\n", 3)})
	}
	k.run(t, call{what: "acks 0, 1, all", tool: "console-producer", args: strings.Fields("--topic tools.console --request-required-acks 1 --command-property enable.idempotence=false"), stdin: "acks one\n"})
	k.run(t, call{tool: "console-producer", args: strings.Fields("--topic tools.console --request-required-acks 0 --command-property enable.idempotence=false"), stdin: "acks none\n"})
	k.do(t, "from the beginning, with key, headers, timestamp, partition, offset", "console-consumer",
		"--topic tools.console --from-beginning --max-messages 19 --timeout-ms 15000 --formatter-property print.key=true --formatter-property print.headers=true --formatter-property print.timestamp=true --formatter-property print.partition=true --formatter-property print.offset=true",
		`CreateTime:\d{13}\tPartition:0\tOffset:0\th1:a,h2:b\tk1\tv1\n`, `Offset:1\th1:c\tk2\tv2\n`, `Offset:4\tNO_HEADERS\tnull\ta line with none\n`, `a line with zstd`, `acks one`, `acks none`, `Processed a total of 19 messages`)
	k.do(t, "from an offset of a partition", "console-consumer", "--topic tools.console --partition 0 --offset 17 --max-messages 2 --timeout-ms 15000", `acks one\nacks none\n`)
	k.do(t, "in a group, which commits", "console-consumer", "--topic tools.console --group tools.readers --from-beginning --max-messages 5 --timeout-ms 15000", `Processed a total of 5 messages`)
	k.do(t, "", "console-consumer", "--topic tools.console --group tools.readers --max-messages 14 --timeout-ms 15000", `Processed a total of 14 messages`)
	k.do(t, "read committed", "console-consumer", "--topic tools.console --from-beginning --isolation-level read_committed --max-messages 19 --timeout-ms 15000", `Processed a total of 19 messages`)
	k.do(t, "several topics by a pattern", "console-consumer", "--include tools\\.(console|config) --from-beginning --max-messages 19 --timeout-ms 15000", `Processed a total of 19 messages`)
}

func (k tools) groups(t *testing.T) {
	k.do(t, "list", "consumer-groups", "--list", `tools\.readers`)
	k.do(t, "list with states and types", "consumer-groups", "--list --state", `tools\.readers\s+Empty`)
	k.do(t, "describe offsets and lag", "consumer-groups", "--describe --group tools.readers", `Consumer group 'tools\.readers' has no active members`,
		`tools\.readers\s+tools\.console\s+0\s+19\s+19\s+0\s+-\s+-\s+-`)
	k.do(t, "describe all groups", "consumer-groups", "--describe --all-groups", `tools\.readers\s+tools\.console`)
	k.do(t, "describe state", "consumer-groups", "--describe --group tools.readers --state", `tools\.readers\s+\S+:\d+ +\(\d+\)\s+-\s+Empty\s+0`)
	k.do(t, "describe members", "consumer-groups", "--describe --group tools.readers --members", `has no active members`)
	k.do(t, "describe an unknown group", "consumer-groups", "--describe --group tools.nobody", `GroupIdNotFoundException: Group tools\.nobody not found`)
	k.do(t, "list groups of all types", "groups", "--list", `tools\.readers\s+(Classic|Consumer)\s+consumer`)
	k.activeGroup(t)
	k.do(t, "delete a topic's offsets", "consumer-groups", "--delete-offsets --group tools.readers --topic tools.console", `tools\.console\s+0\s+Successful`)
	k.do(t, "delete a group", "consumer-groups", "--delete --group tools.readers", `Deletion of requested consumer groups \('tools\.readers'\) was successful`)
	k.do(t, "delete an unknown group", "consumer-groups", "--delete --group tools.readers", `GroupIdNotFoundException|could not be deleted`)
}

// activeGroup describes a group while a member is in it, and tries what is not allowed then.
func (k tools) activeGroup(t *testing.T) {
	m := startMember(t, k.node.addr, "tools.active", "tools.console")
	defer m.Close()
	k.do(t, "describe an active group's members", "consumer-groups", "--describe --group tools.active --members --verbose", `tools\.active\s+\S+\s+/127\.0\.0\.1\s+\S+\s+1\s+.*tools\.console`)
	k.do(t, "", "consumer-groups", "--describe --group tools.active --state", `tools\.active\s+\S+:\d+ +\(\d+\)\s+\S+\s+Stable\s+1`)
	k.do(t, "", "consumer-groups", "--describe --group tools.active", `tools\.active\s+tools\.console\s+0\s+19\s+19\s+0\s+\S+`)
	k.do(t, "refuse to reset an active group", "consumer-groups", "--reset-offsets --group tools.active --topic tools.console --to-earliest --execute",
		`Assignments can only be reset if the group 'tools\.active' is inactive`)
	k.do(t, "refuse to delete an active group", "consumer-groups", "--delete --group tools.active", `GroupNotEmptyException|could not be deleted`)
}

func (k tools) resetOffsets(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.reset --partitions 2")
	for range 2 {
		k.do(t, "", "producer-perf-test", "--topic tools.reset --num-records 200 --record-size 10 --throughput -1 --command-property partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner",
			`200 records sent`)
	}
	ends := k.do(t, "", "get-offsets", "--topic tools.reset")
	m := regexp.MustCompile(`tools\.reset:0:(\d+)\s+tools\.reset:1:(\d+)`).FindStringSubmatch(ends)
	if m == nil {
		t.Fatalf("ends of the topic:\n%s", ends)
	}
	end0, end1 := m[1], m[2]
	reset := func(what, form string, want0, want1 string) {
		t.Helper()
		k.do(t, what, "consumer-groups", "--reset-offsets --group tools.resets --topic tools.reset --execute "+form,
			`tools\.resets\s+tools\.reset\s+0\s+`+want0+`\s`, `tools\.resets\s+tools\.reset\s+1\s+`+want1+`\s`)
		k.do(t, "", "consumer-groups", "--describe --group tools.resets", `tools\.reset\s+0\s+`+want0+`\s+`+end0+`\s`, `tools\.reset\s+1\s+`+want1+`\s+`+end1+`\s`)
	}
	reset("--reset-offsets --to-earliest", "--to-earliest", "0", "0")
	reset("--reset-offsets --to-latest", "--to-latest", end0, end1)
	reset("--reset-offsets --to-offset", "--to-offset 50", "50", "50")
	reset("--reset-offsets --to-current", "--to-current", "50", "50")
	reset("--reset-offsets --shift-by", "--shift-by 7", "57", "57")
	reset("--reset-offsets --shift-by backwards", "--shift-by -17", "40", "40")
	reset("--reset-offsets --to-datetime", "--to-datetime 2000-01-01T00:00:00.000", "0", "0")
	reset("--reset-offsets --to-datetime after the end", "--to-datetime 2100-01-01T00:00:00.000", end0, end1)
	reset("--reset-offsets --by-duration", "--by-duration P1D", "0", "0")
	reset("--reset-offsets --to-offset beyond the end", "--to-offset 100000", end0, end1)
	k.do(t, "--reset-offsets of one partition", "consumer-groups", "--reset-offsets --group tools.resets --topic tools.reset:1 --to-offset 5 --execute", `tools\.reset\s+1\s+5\s`)
	k.do(t, "", "consumer-groups", "--describe --group tools.resets", `tools\.reset\s+0\s+`+end0+`\s`, `tools\.reset\s+1\s+5\s`)
	k.do(t, "--reset-offsets --dry-run", "consumer-groups", "--reset-offsets --group tools.resets --topic tools.reset --to-earliest --dry-run", `tools\.reset\s+1\s+0\s`)
	k.do(t, "", "consumer-groups", "--describe --group tools.resets", `tools\.reset\s+1\s+5\s`)
	k.do(t, "--reset-offsets --export", "consumer-groups", "--reset-offsets --group tools.resets --all-topics --to-offset 9 --export --dry-run", `tools\.reset"?,1,9`)
	csv := file(t, "tools.reset,0,11\ntools.reset,1,12\n")
	k.run(t, call{what: "--reset-offsets --from-file", tool: "consumer-groups", args: []string{"--reset-offsets", "--group", "tools.resets", "--from-file", csv, "--execute"},
		want: []string{`tools\.reset\s+0\s+11\s`, `tools\.reset\s+1\s+12\s`}})
	k.do(t, "--reset-offsets --all-topics", "consumer-groups", "--reset-offsets --group tools.resets --all-topics --to-earliest --execute", `tools\.reset\s+0\s+0\s`)
	k.do(t, "--reset-offsets --all-groups", "consumer-groups", "--reset-offsets --all-groups --topic tools.reset --to-offset 3 --dry-run", `tools\.resets\s+tools\.reset\s+0\s+3\s`)
}

func (k tools) offsets(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.offsets --partitions 1")
	k.produce(t, "tools.offsets", strings.Repeat("a\n", 30))
	k.do(t, "latest", "get-offsets", "--topic tools.offsets", `tools\.offsets:0:30`)
	k.do(t, "earliest", "get-offsets", "--topic tools.offsets --time -2", `tools\.offsets:0:0`)
	k.do(t, "of the highest timestamp", "get-offsets", "--topic tools.offsets --time -3", `tools\.offsets:0:\d+`)
	k.do(t, "of a timestamp", "get-offsets", "--topic tools.offsets --time 1000", `tools\.offsets:0:0`)
	k.do(t, "of topics by pattern and partitions", "get-offsets", "--topic-partitions tools\\.off.*:0", `tools\.offsets:0:30`)
	k.refused(t, "of an unknown topic", "get-offsets", "--topic tools.nowhere", `Could not match any topic-partitions`)
	f := file(t, `{"partitions": [{"topic": "tools.offsets", "partition": 0, "offset": 12}], "version": 1}`)
	k.do(t, "before an offset", "delete-records", "--offset-json-file "+f, `partition: tools\.offsets-0\tlow_watermark: 12`)
	k.do(t, "", "get-offsets", "--topic tools.offsets --time earliest", `tools\.offsets:0:12`)
	f = file(t, `{"partitions": [{"topic": "tools.offsets", "partition": 0, "offset": 1000}], "version": 1}`)
	k.do(t, "refuse an offset behind the end", "delete-records", "--offset-json-file "+f, `OffsetOutOfRangeException`)
	f = file(t, `{"partitions": [{"topic": "tools.offsets", "partition": 0, "offset": -1}], "version": 1}`)
	k.do(t, "all records", "delete-records", "--offset-json-file "+f, `low_watermark: 30`)
	k.do(t, "", "get-offsets", "--topic tools.offsets --time earliest", `tools\.offsets:0:30`)
}

func (k tools) logDirs(t *testing.T) {
	k.do(t, "describe sizes", "log-dirs", "--describe --topic-list tools.reset", `"partition":"tools\.reset-0"`, `"isFuture":false`, `"offsetLag":0`, `"error":null`)
	k.do(t, "", "log-dirs", "--describe", `"logDir":"`+regexp.QuoteMeta(k.node.data[0]))
}

func (k tools) perf(t *testing.T) {
	k.do(t, "", "topics", "--create --topic tools.perf --partitions 2")
	for _, codec := range []string{"none", "zstd"} {
		k.run(t, call{what: "acks=all, compression " + codec, tool: "producer-perf-test",
			args: strings.Fields("--topic tools.perf --num-records 3000 --record-size 500 --throughput -1 --command-property compression.type=" + codec),
			want: []string{`3000 records sent, [\d.]+ records/sec \([\d.]+ MB/sec\), [\d.]+ ms avg latency, [\d.]+ ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.`}})
	}
	k.do(t, "consume in a group", "consumer-perf-test", "--topic tools.perf --num-records 6000 --timeout 20000",
		`start\.time, end\.time, data\.consumed\.in\.MB, MB\.sec, data\.consumed\.in\.nMsg, nMsg\.sec, rebalance\.time\.ms, fetch\.time\.ms, fetch\.MB\.sec, fetch\.nMsg\.sec`, `, 6\d\d\d, `)
	k.do(t, "produce and consume one by one", "e2e-latency", "--topic tools.perf --num-records 100 --producer-acks all --record-size 100", `Avg latency: [\d.]+ ms`, `Percentiles: 50th = \d+`)
	k.do(t, "a group's records and commits", "verifiable-consumer", "--topic tools.perf --group-id tools.verifiable --max-messages 20 --reset-policy earliest", `"name":"partitions_assigned"`, `"name":"offsets_committed"[^\n]*"success":true`)
}

func (k tools) cluster(t *testing.T) {
	k.do(t, "every API and its versions", "broker-api-versions", "", `\(id: \d+ rack: null isFenced: false\) -> \(`, `Produce\(0\): 0 to \d+`, `ApiVersions\(18\): 0 to \d+`)
	k.run(t, call{what: "cluster id", tool: "cluster", args: []string{"cluster-id", "--bootstrap-server", k.node.addr}, local: true, want: []string{`Cluster ID: \S{22}`}})
	k.run(t, call{what: "endpoints", tool: "cluster", args: []string{"list-endpoints", "--bootstrap-server", k.node.addr}, local: true, want: []string{`ID\s+HOST\s+PORT`}})
	k.do(t, "status", "metadata-quorum", "describe --status", `ClusterId:\s+\S{22}`, `LeaderId:\s+\d+`, `LeaderEpoch:\s+\d+`, `CurrentVoters:\s+\[`)
	k.do(t, "replication", "metadata-quorum", "describe --replication", `NodeId\s+DirectoryId\s+LogEndOffset\s+Lag`, `\d+\s+\S+\s+\d+\s+0\s+.*Leader`)
	k.do(t, "describe", "features", "describe", `Feature: metadata\.version\s+SupportedMinVersion: \S+\s+SupportedMaxVersion: \S+\s+FinalizedVersionLevel: \S+`)
	k.run(t, call{what: "refuse a level that is not supported", tool: "features", args: []string{"upgrade", "--feature", "metadata.version=1000"}, fails: true,
		want: []string{`Could not upgrade metadata\.version to 1000|not support|unsupported|Invalid`}})
	k.run(t, call{what: "refuse to unregister an unknown broker", tool: "cluster", args: []string{"unregister", "--bootstrap-server", k.node.addr, "--id", "99"}, local: true, fails: true,
		want: []string{`Broker ID 99 is not currently registered`}})
	k.do(t, "producers of a partition", "transactions", "describe-producers --topic tools.perf --partition 0", `ProducerId\s+ProducerEpoch\s+LatestCoordinatorEpoch\s+LastSequence`, `\n\d+\s+0\s`)
	k.do(t, "preferred, one partition", "leader-election", "--election-type preferred --topic tools.perf --partition 0", `Valid replica already elected for partitions`)
	k.do(t, "preferred, all partitions", "leader-election", "--election-type preferred --all-topic-partitions")
	k.refused(t, "refuse an unknown partition", "leader-election", "--election-type preferred --topic tools.perf --partition 99", `(?i)UnknownTopicOrPartition|does not exist|No such`)
}

func (k tools) reassign(t *testing.T) {
	id := strings.Join(k.brokerIDs(t), ",")
	f := file(t, `{"version":1,"topics":[{"topic":"tools.perf"}]}`)
	k.do(t, "generate", "reassign-partitions", "--generate --broker-list "+id+" --topics-to-move-json-file "+f, `Current partition replica assignment`, `Proposed partition reassignment configuration`, `"topic":"tools\.perf","partition":0,"replicas":\[\d`)
	f = file(t, `{"version":1,"partitions":[{"topic":"tools.perf","partition":0,"replicas":[`+id+`]},{"topic":"tools.perf","partition":1,"replicas":[`+id+`]}]}`)
	k.do(t, "execute", "reassign-partitions", "--execute --reassignment-json-file "+f, `Current partition replica assignment`, `Successfully started partition reassignments for tools\.perf-0,tools\.perf-1`)
	k.do(t, "verify", "reassign-partitions", "--verify --reassignment-json-file "+f, `Reassignment of partition tools\.perf-0 is completed\.`, `Reassignment of partition tools\.perf-1 is completed\.`)
	k.do(t, "list", "reassign-partitions", "--list", `No partition reassignments found\.`)
	k.do(t, "cancel when nothing moves", "reassign-partitions", "--cancel --reassignment-json-file "+f, `None of the specified partition moves are active|Successfully cancelled`)
	f = file(t, `{"version":1,"partitions":[{"topic":"tools.perf","partition":0,"replicas":[99]}]}`)
	k.refused(t, "refuse an unknown broker", "reassign-partitions", "--execute --reassignment-json-file "+f, `Unknown broker id 99|broker 99|brokers? id 99`)
	f = file(t, `{"version":1,"partitions":[{"topic":"tools.nowhere","partition":0,"replicas":[`+id+`]}]}`)
	k.refused(t, "refuse an unknown topic", "reassign-partitions", "--execute --reassignment-json-file "+f, `tools\.nowhere`)
}
