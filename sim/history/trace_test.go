package history

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden traces anew")

// TestTraces: testdata/traces.txt shows each anomaly as a person will read it, from its smallest history. Read it as the list of what is looked for.
func TestTraces(t *testing.T) {
	var b strings.Builder
	for _, tc := range anomalies() {
		tp := newTape()
		tc.bad(tp)
		h := tp.History()
		for _, a := range Check(h, tc.o) {
			if a.Kind == tc.kind {
				fmt.Fprintf(&b, "%s\n", Trace(h, a))
				break
			}
		}
	}
	path := filepath.Join("testdata", "traces.txt")
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Fatalf("traces changed: run `go test ./sim/history -rewrite` and read the difference; now:\n%s", b.String())
	}
}

// TestTraceOfALongHistoryIsShort: of thousands of ops, only those that show the anomaly, and of long polls only what lies near.
func TestTraceOfALongHistoryIsShort(t *testing.T) {
	tp := newTape()
	var all []Mop
	for i := range int64(5000) {
		tp.send(0, i, i+1)
		all = append(all, rec(i, i+1))
	}
	tp.poll(1, append(all[:2500:2500], all[2501:]...)...)
	h := tp.History()
	found := Check(h, Options{})
	if len(found) == 0 {
		t.Fatal("nothing found")
	}
	for _, a := range found {
		text := Trace(h, a)
		if lines := strings.Count(text, "\n"); lines > 8 || len(text) > 1000 {
			t.Errorf("%d lines:\n%s", lines, text)
		}
		t.Logf("\n%s", text)
	}
}
