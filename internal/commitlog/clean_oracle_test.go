package commitlog

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/vfs"
)

// TestKafkaReadsCompactedFiles lets Kafka's dump tool read what the cleaner leaves: gaps, empty batches, delete horizons, markers. See
// TestKafkaReadsOurFiles for how to run it; last with Apache Kafka 4.3.1.
func TestKafkaReadsCompactedFiles(t *testing.T) {
	tool := strings.Fields(os.Getenv("KLAMM_KAFKA_DUMP"))
	if len(tool) == 0 {
		t.Skip("KLAMM_KAFKA_DUMP is not set")
	}
	w := compacted(t)
	w.fs = vfs.OS()
	w.opts.Path = t.TempDir()
	w.cfg.Segment.Bytes, w.cfg.Segment.IndexIntervalBytes = 60_000, 4096
	l := w.open()
	for round := range 3 {
		for i := range 200 {
			o := batch.PlainBatch()
			o.Codec = batch.Codec(i % 5)
			value := strings.Repeat("v", 300)
			mustAppend(t, l, kvOf(o, fmt.Sprintf("k%d=%s", i*7%150, value), fmt.Sprintf("x%d=%s", i%40, value), fmt.Sprintf("x%d", (i+3)%60)))
			mustAppend(t, l, kvOf(of(5, 0, int32(200*round+i), false), fmt.Sprintf("p%d=%s", i%3, value)))
			if i%40 == 7 {
				mustAppend(t, l, kvOf(of(9, 0, int32(5*round+i/40), true), "t=1"))
				mustAppend(t, l, endTxn(9, 0, i%80 == 7, 3))
			}
		}
		w.clean(l)
		w.clock.Advance(25 * time.Hour)
	}
	if w.saw(EventCleaned) < 3 {
		t.Fatalf("cleaned %d times", w.saw(EventCleaned))
	}
	if err := w.dir.Close(5); err != nil {
		t.Fatal(err)
	}
	w.dir = nil
	var files []string
	for _, suffix := range []string{"log", "index", "timeindex", "txnindex", "snapshot"} {
		found, err := filepath.Glob(w.opts.Path + "/t-0/*." + suffix)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
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
		for _, what := range []string{"deleteHorizonMs: OptionalLong[", "count: 0", "endTxnMarker"} {
			if args[0] == "--deep-iteration" && len(args) == 3 && !strings.Contains(string(out), what) {
				t.Errorf("nothing with %q in it", what)
			}
		}
	}
}
