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
	"github.com/klamm/klamm/test/toolchain"
)

// clientLimit bounds one client's program; fetching what it needs is not counted.
const clientLimit = 3 * time.Minute

// TestClients lets every client library go through the cases, two beside each other on one node.
func TestClients(t *testing.T) {
	node := startTarget(t)
	t.Run("each", func(t *testing.T) {
		for _, c := range clients.All() {
			t.Run(strings.ReplaceAll(c.Name+" "+c.Version, "/", " "), func(t *testing.T) {
				t.Parallel()
				toolchain.Need(t, c.Needs...)
				if err := c.Fetch(t.Context()); err != nil {
					toolchain.Unavailable(t, "cannot be fetched: "+err.Error())
				}
				prefix := "t" + strings.Map(letters, c.Name+c.Version)
				got := runClient(t, c, node.addr, prefix)
				if node.kafka && got["topic.delete"] == "ok listed=true" {
					got["topic.delete"] = "ok listed=false" // Kafka's broker learns of it after its controller
				}
				for _, wrong := range got.Check(Cases()) {
					t.Error(wrong)
				}
				checkCodecs(t, node.addr, prefix)
				record(t, Row{Client: c.Name, Version: c.Version, Language: c.Language, Results: got})
			})
		}
	})
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
