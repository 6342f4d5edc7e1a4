package main

import (
	"fmt"
	"strconv"
	"strings"
)

// File is one definition file.
type File struct {
	Path     string // relative to the definitions folder, with slashes
	GoFile   string // name of the file written for it
	Doc      []string
	API      *API // nil in files of records and data
	Messages []*Message
}

// API is a request and its response.
type API struct {
	Key      int
	Name     string
	Versions Range
	Flexible Range
}

// Kind tells what a message is for, and so which methods it gets.
type Kind int

// The kinds of messages.
const (
	KindRequest Kind = iota
	KindResponse
	KindRecord // of the metadata log; has a type number
	KindData   // anything else that has versions
)

// Message is a top-level struct with its own version range.
type Message struct {
	Kind     Kind
	Key      int // API key or record type
	Doc      []string
	Versions Range
	Flexible Range // empty when no version is
	Root     *Struct
	Structs  []*Struct // every nested struct, in order of definition
	named    map[string]*Struct
}

// Struct is one Go struct.
type Struct struct {
	Go     string
	Doc    []string
	Fields []*Field
	Parent string // "MetadataRequest.Topics", for the comment
	Within Range  // versions in which it can occur
	shared bool   // declared with "struct"
	line   int
}

// Field is one field of a struct.
type Field struct {
	Name    string
	Type    string // a primitive's name, or the name of a struct
	Array   bool
	Sub     *Struct // set when Type names a struct
	Within  Range
	Null    Range // versions that allow null
	Tag     int   // -1 when not tagged
	Default string
	Doc     string
	line    int
}

func (f *Field) nullable() bool { return !f.Null.empty() }

// pointer tells whether the struct is held by pointer, because it may be null.
func (f *Field) pointer() bool { return f.Sub != nil && !f.Array && f.nullable() }

// Range is a closed range of versions. It is empty when Lo > Hi.
type Range struct{ Lo, Hi int }

const open = 1 << 14

func none() Range { return Range{0, -1} }

func (r Range) empty() bool { return r.Lo > r.Hi }

func (r Range) and(o Range) Range { return Range{max(r.Lo, o.Lo), min(r.Hi, o.Hi)} }

func (r Range) contains(v int) bool { return r.Lo <= v && v <= r.Hi }

func (r Range) String() string {
	switch {
	case r.Hi >= open:
		return fmt.Sprintf("v%d+", r.Lo)
	case r.Lo == r.Hi:
		return fmt.Sprintf("v%d", r.Lo)
	}
	return fmt.Sprintf("v%d-%d", r.Lo, r.Hi)
}

func parseRange(s string) (Range, error) {
	if lo, ok := strings.CutSuffix(s, "+"); ok {
		n, err := strconv.Atoi(lo)
		return Range{n, open}, err
	}
	lo, hi, ok := strings.Cut(s, "-")
	if !ok {
		hi = lo
	}
	a, err := strconv.Atoi(lo)
	if err != nil {
		return none(), fmt.Errorf("%q is not a version range", s)
	}
	b, err := strconv.Atoi(hi)
	if err != nil || b < a {
		return none(), fmt.Errorf("%q is not a version range", s)
	}
	return Range{a, b}, nil
}

// primitive describes a scalar type of the format.
type primitive struct {
	goType string
	size   int    // bytes on the wire, 0 when it varies
	read   string // Decoder method
	write  string // append function
}

func primitiveOf(name string) (primitive, bool) {
	switch name {
	case "bool":
		return primitive{"bool", 1, "bool", "appendBool"}, true
	case "int8":
		return primitive{"int8", 1, "int8", ""}, true
	case "int16":
		return primitive{"int16", 2, "int16", "appendInt16"}, true
	case "uint16":
		return primitive{"uint16", 2, "uint16", "appendUint16"}, true
	case "int32":
		return primitive{"int32", 4, "int32", "appendInt32"}, true
	case "int64":
		return primitive{"int64", 8, "int64", "appendInt64"}, true
	case "float64":
		return primitive{"float64", 8, "float64", "appendFloat64"}, true
	case "uuid":
		return primitive{"model.UUID", 16, "uuid", ""}, true
	case "string":
		return primitive{"string", 0, "string", "appendString"}, true
	case "bytes", "records":
		return primitive{"[]byte", 0, "bytes", "appendBytes"}, true
	}
	return primitive{}, false
}

// isErrorCode tells whether a field holds one of Kafka's error codes, which have a Go type of their own.
func (f *Field) isErrorCode() bool {
	return f.Type == "int16" && !f.Array && strings.HasSuffix(f.Name, "ErrorCode")
}

// goType is the field's type in Go.
func (f *Field) goType() string {
	var t string
	switch p, ok := primitiveOf(f.Type); {
	case f.isErrorCode():
		t = "model.ErrorCode"
	case ok:
		t = p.goType
	default:
		t = f.Sub.Go
	}
	switch {
	case f.Array:
		return "[]" + t
	case f.pointer(), f.Type == "string" && f.nullable():
		return "*" + t
	}
	return t
}
