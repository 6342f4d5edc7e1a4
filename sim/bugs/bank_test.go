package bugs

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestTheBankIsWhole holds the bank against the code: each defect is in both, once in the bank, and says what it is.
func TestTheBankIsWhole(t *testing.T) {
	text, err := os.ReadFile("../../internal/bug/bug.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)\s+Defect = "([a-z-]+)"`).FindAllStringSubmatch(string(text), -1) {
		names[m[2]] = m[1]
	}
	sites, err := exec.Command("grep", "-rhoE", `bug\.Is\(bug\.\w+\)`, "--include=*.go", "../../internal").Output()
	if err != nil {
		t.Fatalf("grep: %v", err)
	}
	found := 0
	for _, d := range All() {
		name := names[string(d.Name)]
		switch {
		case name == "":
			t.Errorf("%s is in the bank twice, or not in internal/bug", d.Name)
		case d.From == "" || d.Rule == "":
			t.Errorf("%s does not say where it comes from and what it breaks", d.Name)
		case !strings.Contains(string(sites), "bug.Is(bug."+name+")"):
			t.Errorf("no code has %s any more", d.Name)
		}
		delete(names, string(d.Name))
		if d.Seeds > 0 {
			found++
		}
	}
	for name := range names {
		t.Errorf("%s is not in the bank", name)
	}
	if found < 20 {
		t.Errorf("%d defects are found, 20 at least have to be", found)
	}
}
