package metadata

import (
	"fmt"
	"strings"
)

// maxTopicName leaves room in a file name for the partition's number and the suffix of a directory on its way out.
const maxTopicName = 249

// NameError says what is wrong with a topic's name, in Kafka's words.
type NameError struct{ Reason string }

// Error is the message Kafka sends.
func (e *NameError) Error() string { return "Topic name is invalid: " + e.Reason }

// ValidateTopicName returns a *NameError for a name that no topic may have.
func ValidateTopicName(name string) error {
	switch {
	case name == "":
		return &NameError{"the empty string is not allowed"}
	case name == "." || name == "..":
		return &NameError{fmt.Sprintf("'%s' is not allowed", name)}
	case len(name) > maxTopicName:
		return &NameError{fmt.Sprintf("the length of '%s' is longer than the max allowed length %d", name, maxTopicName)}
	}
	for _, c := range []byte(name) {
		if !nameByte(c) {
			return &NameError{fmt.Sprintf("'%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)}
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// CanCollide reports that a topic's name has a character that Kafka's metric names cannot tell from another one.
func CanCollide(name string) bool { return strings.ContainsAny(name, "._") }

// CollisionKey is the same for topic names that Kafka refuses beside each other, because its metric names cannot tell '.' from '_'.
func CollisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }

// Colliding is a topic of another name with the same CollisionKey, or "".
func (img *Image) Colliding(name string) string {
	if !CanCollide(name) {
		return ""
	}
	if other, _ := img.collisions.get(CollisionKey(name)); other != name {
		return other
	}
	return ""
}
