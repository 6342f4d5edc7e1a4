package config

import "fmt"

// UnknownKeyError says that no key has this name.
type UnknownKeyError struct {
	Scope   Scope
	Name    string
	Nearest string // empty when nothing is near
}

// Error starts with Kafka's words for the same mistake, which tools look for.
func (e *UnknownKeyError) Error() string {
	s := fmt.Sprintf("Unknown %s config name: %s", e.Scope, e.Name)
	if e.Nearest != "" {
		s += fmt.Sprintf(" (did you mean %s?)", e.Nearest)
	}
	return s
}

// ValueError says why a value is not accepted, in Kafka's words.
type ValueError struct {
	Name, Value, Reason string
}

// Error is Kafka's sentence for the same mistake.
func (e *ValueError) Error() string {
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", e.Value, e.Name, e.Reason)
}

// SourceError puts a place before what is wrong: a line of a file, a variable of the environment, a flag.
type SourceError struct {
	Place string
	Err   error
}

// Error is the place, then what is wrong.
func (e *SourceError) Error() string { return e.Place + ": " + e.Err.Error() }

// Unwrap is what is wrong.
func (e *SourceError) Unwrap() error { return e.Err }

// RefusedError says that a setting asks for protection that this version cannot give. It stops the start: going on without it would
// open the broker to everybody who can reach it.
type RefusedError struct {
	Name, Reason string
}

// Error names the key and the reason.
func (e *RefusedError) Error() string { return e.Name + " is refused: " + e.Reason }
