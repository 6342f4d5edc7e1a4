package invariant

import (
	"strings"
	"testing"
)

func TestCheckPanicsWithTheMessage(t *testing.T) {
	Check(true, "never formatted %d", 1)
	defer func() {
		got, _ := recover().(string)
		if !strings.Contains(got, "high watermark 7 behind log start 9") {
			t.Fatalf("panicked with %q", got)
		}
	}()
	Check(false, "high watermark %d behind log start %d", 7, 9)
}

func TestSometimesCountsOnlyInExpensiveBuilds(t *testing.T) {
	Sometimes("torn tail")
	want := uint64(0)
	if Expensive() {
		want = 1
	}
	if got := Reached()["torn tail"]; got != want {
		t.Fatalf("counted %d, want %d", got, want)
	}
}
