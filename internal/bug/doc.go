// Package bug is the bug bank's switchboard: defects that real systems had, each put beside the rule it breaks, for the simulation to find.
//
// Owns:        the names of the defects, and whether this process was told to have one.
// Never:       does anything without the build tag bugs: Is is then false, known to the compiler, and what stands behind it is not in the program.
// Concurrency: everything here may be called from any goroutine.
// Start at:    bug.go, then sim/bugs, which says where each defect comes from and which invariant finds it.
package bug
