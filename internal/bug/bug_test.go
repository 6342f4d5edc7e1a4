package bug

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestNoProcessHasADefectUnasked(t *testing.T) {
	if Is(SkipFsync) {
		t.Fatal("a defect is switched on")
	}
}

// TestTheProgramHasNoDefects builds the program that users get and looks for the defects' names, which stand in it only if the code behind
// them does.
func TestTheProgramHasNoDefects(t *testing.T) {
	name := filepath.Join(t.TempDir(), "klamm")
	if out, err := exec.Command("go", "build", "-o", name, "github.com/klamm/klamm/cmd/klamm").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Defect{SkipFsync, TruncateToHighWatermark, ProducersNotRewound, RaftSkipsFsync, CoordinatorLoadsPart, "SIM_BUG"} {
		if bytes.Contains(b, []byte(d)) {
			t.Errorf("%s is in the program", d)
		}
	}
}
