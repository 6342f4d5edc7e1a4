package replicas_test

import (
	"os"
	"path/filepath"
	"testing"
)

// flip changes one bit in the first record of a partition.
func flip(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "00000000000000000000.log")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[70] ^= 1 // behind the head of the first batch, 61 bytes
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
