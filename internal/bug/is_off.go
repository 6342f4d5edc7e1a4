//go:build !bugs

package bug

// Is reports whether this process has the defect. Without the build tag bugs none has any.
func Is(Defect) bool { return false }
