package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/interop/clients"
	"github.com/klamm/klamm/test/toolchain"
)

// TestSameAnswersAsKafka lets one Java program ask Apache Kafka and the node under test the same questions, some 600 of them, and compares what
// each answers: results, error codes and their texts. Where they may differ stands in testdata/differences.txt, with a reason; a difference
// that is gone must go from there too.
func TestSameAnswersAsKafka(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	reference, node := startKafka(t, 1, replicated(1)...), startBrokers(t, 1)
	dir := t.TempDir()
	kafkaFile, klammFile := filepath.Join(dir, "kafka"), filepath.Join(dir, "klamm")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	argv, err := clients.Semantics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], reference.addr, kafkaFile, node.addr, klammFile)...)
	if _, err := output(cmd); err != nil {
		t.Fatal(err)
	}
	kafka, klamm := readAnswers(t, kafkaFile), readAnswers(t, klammFile)
	if node.kafka { // two nodes alike, but for their addresses and folders
		for _, own := range []string{"config.broker.controller.quorum.voters", "config.broker.listeners", "config.broker.log.dirs"} {
			klamm[own] = kafka[own]
		}
	}
	if len(kafka) < 600 {
		t.Fatalf("Kafka was asked only %d things", len(kafka))
	}
	var listed []Difference
	if !node.kafka {
		listed = readDifferences(t, filepath.Join("testdata", "differences.txt"))
	}
	found := compare(kafka, klamm, listed)
	for _, wrong := range found.unlisted {
		t.Error(wrong)
	}
	if !t.Failed() {
		ran.Lock()
		defer ran.Unlock()
		ran.Compared, ran.Differences = len(kafka), found.listed
	}
}

// readAnswers reads "NAME: ANSWER" lines.
func readAnswers(t *testing.T, path string) Transcript {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := ParseTranscript(text)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// compared is what a comparison found.
type compared struct {
	// listed are the differences that are expected, as found; unlisted say what is wrong.
	listed   []Difference
	unlisted []string
}

// compare sets Kafka's answers beside Klamm's.
func compare(kafka, klamm Transcript, listed []Difference) compared {
	var c compared
	expected := map[string]Difference{}
	for _, d := range listed {
		expected[d.Case] = d
	}
	seen := map[string]bool{}
	names := map[string]bool{}
	for name := range kafka {
		names[name] = true
	}
	for name := range klamm {
		names[name] = true
	}
	for _, name := range sorted(names) {
		k, l := answer(kafka, name), answer(klamm, name)
		d, known := lookUp(expected, name)
		seen[d.Case] = true
		switch {
		case k == l && known && name == d.Case:
			c.unlisted = append(c.unlisted, name+": does not differ any more: take it out of testdata/differences.txt")
		case k == l:
		case !known:
			c.unlisted = append(c.unlisted, fmt.Sprintf("%s:\n  kafka: %s\n  klamm: %s", name, k, l))
		case !matches(d.Klamm, l):
			c.unlisted = append(c.unlisted, fmt.Sprintf("%s: differs in another way than listed:\n  kafka:  %s\n  klamm:  %s\n  listed: %s", name, k, l, d.Klamm))
		case name == d.Case:
			c.listed = append(c.listed, Difference{Case: name, Kafka: k, Klamm: d.Klamm, Reason: d.Reason})
		}
	}
	for name, d := range expected {
		switch {
		case !seen[name]:
			c.unlisted = append(c.unlisted, name+": stands in testdata/differences.txt, but nothing asked for it")
		case strings.HasSuffix(name, "*"):
			c.listed = append(c.listed, Difference{Case: name, Kafka: "not there", Klamm: d.Klamm, Reason: d.Reason})
		}
	}
	slices.SortFunc(c.listed, func(x, y Difference) int { return strings.Compare(x.Case, y.Case) })
	return c
}

// lookUp finds a listed difference by its name, or by one that ends in "*" and holds for all names that begin so.
func lookUp(listed map[string]Difference, name string) (Difference, bool) {
	if d, ok := listed[name]; ok {
		return d, true
	}
	for _, d := range listed {
		if start, ok := strings.CutSuffix(d.Case, "*"); ok && strings.HasPrefix(name, start) {
			return d, true
		}
	}
	return Difference{}, false
}

// answer is what a broker said about a case.
func answer(t Transcript, name string) string {
	if a, ok := t[name]; ok {
		return a
	}
	return "not there"
}

// matches compares an answer with a listed one, which may end in "*" for any end.
func matches(listed, got string) bool {
	if start, ok := strings.CutSuffix(listed, "*"); ok {
		return strings.HasPrefix(got, start)
	}
	return listed == got
}

func sorted(names map[string]bool) []string {
	var out []string
	for n := range names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// readDifferences reads blocks of "why: REASON", then lines "NAME: KLAMM'S ANSWER" that the reason holds for. # begins a comment.
func readDifferences(t *testing.T, path string) []Difference {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []Difference
	why := ""
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%s:%d: no colon: %s", path, i+1, line)
		}
		if name == "why" {
			why = rest
			continue
		}
		found = append(found, Difference{Case: name, Klamm: rest, Reason: why})
	}
	return found
}
