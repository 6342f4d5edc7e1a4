package config

import (
	"strconv"
	"strings"
	"time"
)

// Values reads broker keys through layers, the first that has a key wins and the table's default comes last. The getters take a name of
// the table and panic on any other: such a name is a mistake in the program. A layer's value that is not of the key's type is passed
// over, which can only be a dynamic value written by another version.
type Values struct {
	layers []map[string]string
}

// raw is the effective text of a key, canonical.
func (v Values) raw(name string) string {
	k, ok := Lookup(Broker, name)
	if !ok {
		panic("config: no broker key is called " + name)
	}
	for _, layer := range v.layers {
		if value, ok := layer[name]; ok && typeReason(k.Type, strings.TrimSpace(value)) == "" {
			return k.Canonical(value)
		}
	}
	return k.Default
}

// IsSet reports whether any layer sets the key.
func (v Values) IsSet(name string) bool {
	for _, layer := range v.layers {
		if _, ok := layer[name]; ok {
			return true
		}
	}
	return false
}

// String is the value of any key; empty for one that is not set and has no default.
func (v Values) String(name string) string { return v.raw(name) }

// Int is the value of a short or int key; 0 when not set and without default.
func (v Values) Int(name string) int { return int(v.Int64(name)) }

// Int64 is the value of any whole number key; 0 when not set and without default.
func (v Values) Int64(name string) int64 {
	n, _ := strconv.ParseInt(v.raw(name), 10, 64)
	return n
}

// Bool is the value of a boolean key.
func (v Values) Bool(name string) bool { return v.raw(name) == "true" }

// Float is the value of a double key.
func (v Values) Float(name string) float64 {
	f, _ := strconv.ParseFloat(v.raw(name), 64)
	return f
}

// List is the value of a list key, nil when empty.
func (v Values) List(name string) []string { return splitList(v.raw(name)) }

// Duration is the value of a key whose name ends in its unit (.ms, .seconds, .minutes, .hours). What does not fit stays the largest
// duration there is, about 292 years.
func (v Values) Duration(name string) time.Duration { return saturate(v.Int64(name), unitOf(name)) }

// unitOf reads the unit off the end of a key's name; milliseconds when there is none.
func unitOf(name string) time.Duration {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "seconds", "secs":
		return time.Second
	case "minutes":
		return time.Minute
	case "hours":
		return time.Hour
	}
	return time.Millisecond
}

func saturate(n int64, unit time.Duration) time.Duration {
	const most = 1<<63 - 1
	switch {
	case n > int64(most/unit):
		return most
	case n < -int64(most/unit):
		return -most
	}
	return time.Duration(n) * unit
}

// firstMs is the first of the synonyms that is set, in milliseconds; the last one's default when none is. Kafka gives a finer unit
// precedence over a coarser one wherever each was set.
func (v Values) firstMs(synonyms []string) int64 {
	for _, name := range synonyms {
		if k, ok := Lookup(Broker, name); ok && (v.IsSet(name) || !k.Null) {
			return saturateMs(v.Int64(name), unitOf(name))
		}
	}
	return 0
}

func saturateMs(n int64, unit time.Duration) int64 {
	per := int64(unit / time.Millisecond)
	if n > (1<<63-1)/per {
		return 1<<63 - 1
	}
	return n * per
}
