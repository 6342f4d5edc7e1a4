package kafkaref

import (
	"strings"
	"testing"

	"github.com/klamm/klamm/test/toolchain"
)

// TestBrokerAndTools is the reference itself at work: a broker starts on free ports, and tools run on it one after another in one JVM.
func TestBrokerAndTools(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	b := Start(t, t.TempDir(), "group.initial.rebalance.delay.ms=0")
	sh := NewShell(t)
	if r := sh.Run(t, "topics", "--bootstrap-server", b.Addr, "--create", "--topic", "reference", "--partitions", "2"); r.Exit != 0 || !strings.Contains(r.Out, "Created topic reference.") {
		t.Fatalf("create a topic: %+v", r)
	}
	if r := sh.Do(t, Call{Tool: "console-producer", Args: []string{"--bootstrap-server", b.Addr, "--topic", "reference"}, Stdin: "one\ntwo\n"}); r.Exit != 0 {
		t.Fatalf("produce: %+v", r)
	}
	// Twice, since the tool counts messages in a static field.
	for range 2 {
		r := sh.Run(t, "console-consumer", "--bootstrap-server", b.Addr, "--topic", "reference", "--from-beginning", "--max-messages", "2", "--timeout-ms", "20000")
		if r.Exit != 0 || !strings.Contains(r.Out, "one\n") || !strings.Contains(r.Out, "two\n") {
			t.Fatalf("consume: %+v", r)
		}
	}
	if r := sh.Run(t, "topics", "--bootstrap-server", b.Addr, "--delete", "--topic", "no-such-topic"); r.Exit != 1 || !strings.Contains(r.Out+r.Err, "does not exist") {
		t.Fatalf("delete an unknown topic: %+v", r)
	}
}
