package interop

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
	answers := askAll(t, reference, node)
	kafka, klamm := answers[0], answers[1]
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

// askAll lets the program ask clusters, all at once, and returns what each answered.
func askAll(t *testing.T, nodes ...target) []Transcript {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	argv, err := clients.Semantics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for i, n := range nodes {
		files = append(files, filepath.Join(dir, strconv.Itoa(i)))
		argv = append(argv, n.addr, files[i])
	}
	if _, err := output(exec.CommandContext(ctx, argv[0], argv[1:]...)); err != nil {
		t.Fatal(err)
	}
	var answers []Transcript
	for _, f := range files {
		answers = append(answers, readAnswers(t, f))
	}
	return answers
}

// updateKafka3 asks three brokers of Apache Kafka anew, which takes three gigabytes of memory.
var updateKafka3 = flag.Bool("update-kafka3", false, "write testdata/kafka3.txt from three brokers of Apache Kafka")

// TestSameAnswersAsKafkaOfThree is the same on three brokers, every partition on all of them, with what Kafka answered when it was last asked.
func TestSameAnswersAsKafkaOfThree(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	recorded := filepath.Join("testdata", "kafka3.txt")
	if *updateKafka3 {
		got := askAll(t, startKafka(t, 3, replicated(3)...))[0]
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(got)) {
			fmt.Fprintf(&text, "%s: %s\n", name, got[name])
		}
		if err := os.WriteFile(recorded, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kafka, klamm := readAnswers(t, recorded), askAll(t, startBrokers(t, 3))[0]
	listed := readDifferences(t, filepath.Join("testdata", "differences3.txt"))
	own := len(listed)
	for _, d := range readDifferences(t, filepath.Join("testdata", "differences.txt")) {
		if _, known := lookUp(byCase(listed[:own]), d.Case); !known {
			listed = append(listed, d)
		}
	}
	found := compare(kafka, klamm, listed)
	for _, wrong := range found.unlisted {
		t.Error(wrong)
	}
	if !t.Failed() {
		ran.Lock()
		defer ran.Unlock()
		ran.ComparedThree = len(kafka)
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
	expected := byCase(listed)
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

func byCase(listed []Difference) map[string]Difference {
	by := map[string]Difference{}
	for _, d := range listed {
		by[d.Case] = d
	}
	return by
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
