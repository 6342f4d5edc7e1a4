//go:build bugs

package bug

import "os"

// chosen is package state, read once before anything runs: a process has one defect all its life.
var chosen = Defect(os.Getenv("SIM_BUG"))

// Is reports whether this process was told by SIM_BUG to have the defect.
func Is(d Defect) bool { return d == chosen }
