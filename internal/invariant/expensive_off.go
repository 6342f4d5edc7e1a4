//go:build !invariants

package invariant

// Expensive guards checks whose cost would show; build with -tags invariants to have them.
func Expensive() bool { return false }

// Sometimes notes that an interesting state was reached. It counts only under the build tag invariants.
func Sometimes(string) {}

// Reached is the number of times each state was noted since the process began; empty without the build tag invariants.
func Reached() map[string]uint64 { return nil }
