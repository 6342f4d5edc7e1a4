package interop

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/wire"
	"github.com/klamm/klamm/test/interop/clients"
)

// updateDocs writes docs/compatibility.md instead of comparing with it.
var updateDocs = flag.Bool("update-docs", false, "write docs/compatibility.md from what ran")

// ran collects what the tests of one run showed, for the document.
var ran struct {
	sync.Mutex
	Compatibility
}

// record notes what a client did.
func record(t *testing.T, r Row) {
	t.Helper()
	ran.Lock()
	defer ran.Unlock()
	ran.Rows = append(ran.Rows, r)
}

// recordTool notes what a tool of Kafka has shown.
func recordTool(tool, what string) {
	ran.Lock()
	defer ran.Unlock()
	ran.Tools = append(ran.Tools, Line{Program: "kafka-" + tool, What: what})
}

// recordFailure notes what a client went through while brokers failed.
func recordFailure(t *testing.T, client string, what ...string) {
	t.Helper()
	if t.Failed() {
		return
	}
	ran.Lock()
	defer ran.Unlock()
	for _, w := range what {
		ran.Failures = append(ran.Failures, Line{Program: client, What: w})
	}
}

// TestMain compares docs/compatibility.md with what ran, when everything ran, on Klamm.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 && os.Getenv("KLAMM_TEST_TARGET") == "" {
		if err := document(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// document writes or compares the document. A run of part of the tests is not compared.
func document() error {
	ran.Lock()
	defer ran.Unlock()
	path := filepath.Join("..", "..", "docs", "compatibility.md")
	complete := len(ran.Rows) == len(clients.All())+1 && len(ran.Tools) > 0 && len(ran.Spark) > 0 && len(ran.Streams) > 0 && len(ran.Failures) > 0 && len(ran.APIs) > 0 && ran.Compared > 0 && ran.ComparedThree > 0
	if !complete {
		if *updateDocs {
			return fmt.Errorf("%s is written only when every test ran and none was skipped", path)
		}
		return nil
	}
	text := ran.Render()
	if *updateDocs {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(old) == text {
		return nil
	}
	then, now := strings.Split(string(old), "\n"), strings.Split(text, "\n")
	for i := range now {
		if i >= len(then) || then[i] != now[i] {
			return fmt.Errorf("%s is not what ran (`make interop-docs` writes it anew); from line %d on it should say\n%s", path, i+1, now[i])
		}
	}
	return fmt.Errorf("%s is longer than what ran: `make interop-docs` writes it anew", path)
}

// TestAPIs notes the versions that the broker offers.
func TestAPIs(t *testing.T) {
	node := startTarget(t)
	cl, err := kgo.NewClient(seeds(node.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	ran.Lock()
	defer ran.Unlock()
	for _, k := range answer.ApiKeys {
		ran.APIs = append(ran.APIs, API{Key: k.ApiKey, Name: wire.Name(wire.Key(k.ApiKey)), Min: k.MinVersion, Max: k.MaxVersion})
	}
	slices.SortFunc(ran.APIs, func(x, y API) int { return cmp.Compare(x.Key, y.Key) })
	if len(ran.APIs) < 20 {
		t.Errorf("only %d APIs are offered", len(ran.APIs))
	}
	if !node.kafka { // which no longer offers all of these
		checkOldVersions(t, ran.APIs)
	}
}

// checkOldVersions looks for the exact versions that clients in the field ask for, and without which they leave out compression or fail: librdkafka
// up to 2.11 (issues 4956 and 5130 there, KAFKA-18659), segmentio/kafka-go, old kafka-python and sarama (KAFKA-19444).
func checkOldVersions(t *testing.T, offered []API) {
	t.Helper()
	needed := map[int16][]int16{
		0: {0, 2, 3, 7}, 1: {4, 10}, 2: {0, 1}, 3: {0, 1}, 8: {1, 2}, 9: {1}, 10: {0}, 11: {0, 1}, 12: {0}, 13: {0}, 14: {0}, 15: {0}, 16: {0}, 18: {0},
		19: {0}, 20: {0}, 22: {0}, 32: {0},
	}
	for _, a := range offered {
		for _, v := range needed[a.Key] {
			if v < a.Min || v > a.Max {
				t.Errorf("%s %d is not offered (%d-%d are)", a.Name, v, a.Min, a.Max)
			}
		}
		delete(needed, a.Key)
	}
	if len(needed) > 0 {
		t.Errorf("not offered at all: %v", needed)
	}
}
