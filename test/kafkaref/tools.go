package kafkaref

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/klamm/klamm/test/toolchain"
)

// Version is the release of Apache Kafka that Klamm is compared with.
const Version = "4.3.1"

// Jars is a folder with the jars of the broker, the tools and the Java client.
func Jars(ctx context.Context) (string, error) {
	return toolchain.Jars(ctx, "kafka-"+Version, filepath.Join(sourceDir(), "pom.xml"), "kafka.version="+Version)
}

// ClassPath names the jars of Jars to a JVM.
func ClassPath(jars string) string { return filepath.Join(jars, "*") }

// Command is a JVM of its own that runs the tool: "topics" is kafka-topics.sh. Where many tools run, a Shell is much cheaper.
func Command(ctx context.Context, tool string, args ...string) (*exec.Cmd, error) {
	class, ok := classOf(tool)
	if !ok {
		return nil, fmt.Errorf("kafkaref: Apache Kafka has no tool kafka-%s", tool)
	}
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	all := append([]string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", ClassPath(jars), class}, args...)
	return exec.CommandContext(ctx, "java", all...), nil
}

// classOf is the class behind a tool's name, the name as in bin/kafka-NAME.sh.
func classOf(tool string) (string, bool) {
	const t = "org.apache.kafka.tools."
	class, ok := map[string]string{
		"acls":                 t + "AclCommand",
		"broker-api-versions":  t + "BrokerApiVersionsCommand",
		"cluster":              t + "ClusterTool",
		"configs":              "kafka.admin.ConfigCommand",
		"console-consumer":     t + "consumer.ConsoleConsumer",
		"console-producer":     t + "ConsoleProducer",
		"consumer-groups":      t + "consumer.group.ConsumerGroupCommand",
		"consumer-perf-test":   t + "ConsumerPerformance",
		"delete-records":       t + "DeleteRecordsCommand",
		"dump-log":             t + "DumpLogSegments",
		"e2e-latency":          t + "EndToEndLatency",
		"features":             t + "FeatureCommand",
		"get-offsets":          t + "GetOffsetShell",
		"groups":               t + "GroupsCommand",
		"leader-election":      t + "LeaderElectionCommand",
		"log-dirs":             t + "LogDirsCommand",
		"metadata-quorum":      t + "MetadataQuorumCommand",
		"producer-perf-test":   t + "ProducerPerformance",
		"reassign-partitions":  t + "reassign.ReassignPartitionsCommand",
		"replica-verification": t + "ReplicaVerificationTool",
		"storage":              "kafka.tools.StorageTool",
		"topics":               t + "TopicCommand",
		"transactions":         t + "TransactionsCommand",
		"verifiable-consumer":  t + "VerifiableConsumer",
		"verifiable-producer":  t + "VerifiableProducer",
	}[tool]
	return class, ok
}

// sourceDir is this package's folder.
func sourceDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}
