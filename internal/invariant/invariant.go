package invariant

import "fmt"

// Check panics when cond is false, in every build: going on with broken state would harm data that is still good. The
// message is formatted only then. Arguments are boxed by the caller, so keep calls with arguments off per-record paths, or
// guard them: if !ok { invariant.Check(false, ...) }.
func Check(cond bool, format string, args ...any) {
	if !cond {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}
