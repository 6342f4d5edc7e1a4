package toolchain

import (
	"os"
	"testing"
)

// Need skips the test when a program is not installed. With CI=true, where .ci/install has put everything, that is a failure instead.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	if reason := Missing(programs...); reason != "" {
		Unavailable(t, reason)
	}
}

// Unavailable skips the test for that reason; with CI=true it fails it.
func Unavailable(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
