package main

import (
	"fmt"
	"go/format"
	"sort"
	"strings"
)

const registryFile = "registry_gen.go"

// emitRegistry writes what looks messages up by number: API keys and record types.
func emitRegistry(files []*File) ([]byte, error) {
	var apis []*API
	var records []*Message
	for _, f := range files {
		if f.API != nil {
			apis = append(apis, f.API)
		}
		for _, m := range f.Messages {
			if m.Kind == KindRecord {
				records = append(records, m)
			}
		}
	}
	sort.Slice(apis, func(i, j int) bool { return apis[i].Key < apis[j].Key })
	sort.Slice(records, func(i, j int) bool { return records[i].Key < records[j].Key })
	var e emitter
	fmt.Fprintf(&e, header, "")
	e.keys(apis)
	e.apiLookups(apis, files)
	e.records(records)
	return format.Source(e.Bytes())
}

func (e *emitter) keys(apis []*API) {
	e.p("// The APIs this codec speaks.\nconst (")
	for _, a := range apis {
		e.p("\tKey%s Key = %d", a.Name, a.Key)
	}
	e.p(")\n")
	e.p("// Keys are all APIs this codec speaks, ascending.\nfunc Keys() []Key {\n\treturn []Key{")
	for _, a := range apis {
		e.p("\t\tKey%s,", a.Name)
	}
	e.p("\t}\n}\n")
}

func (e *emitter) apiLookups(apis []*API, files []*File) {
	e.p("// Name is the API's name in Kafka's protocol, or \"\" for an unknown key.\nfunc Name(key Key) string {\n\tswitch key {")
	for _, a := range apis {
		e.p("\tcase Key%s:\n\t\treturn %q", a.Name, a.Name)
	}
	e.p("\t}\n\treturn \"\"\n}\n")

	e.p("// Versions are the versions of an API that this codec can read and write, and the first of them that is flexible")
	e.p("// (KIP-482), -1 when none is. What a broker offers may be less.")
	e.p("func Versions(key Key) (lowest, highest, flexibleFrom int16, ok bool) {\n\tswitch key {")
	for _, a := range apis {
		flex := -1
		if !a.Flexible.empty() {
			flex = a.Flexible.Lo
		}
		e.p("\tcase Key%s:\n\t\treturn %d, %d, %d, true", a.Name, a.Versions.Lo, a.Versions.Hi, flex)
	}
	e.p("\t}\n\treturn 0, 0, -1, false\n}\n")

	for i, kind := range []string{"Request", "Response"} {
		e.p("// New%s is a %s of an API with every field at its default.", kind, strings.ToLower(kind))
		e.p("func New%s(key Key) (%s, bool) {\n\tswitch key {", kind, kind)
		for _, f := range files {
			if f.API != nil {
				e.p("\tcase Key%s:", f.API.Name)
				e.returnNew(f.Messages[i].Root)
			}
		}
		e.p("\t}\n\treturn nil, false\n}\n")
	}
}

func (e *emitter) records(records []*Message) {
	if len(records) == 0 {
		return
	}
	short := func(m *Message) string { return strings.TrimSuffix(m.Root.Go, "Record") }
	e.p("// The records of the metadata log. Numbers are for ever: a removed type's number is never used again.\nconst (")
	for _, m := range records {
		e.p("\tRecordType%s RecordType = %d", short(m), m.Key)
	}
	e.p(")\n")
	e.p("// RecordName is the record's name, or \"\" for an unknown type.\nfunc RecordName(t RecordType) string {\n\tswitch t {")
	for _, m := range records {
		e.p("\tcase RecordType%s:\n\t\treturn %q", short(m), m.Root.Go)
	}
	e.p("\t}\n\treturn \"\"\n}\n")
	e.p("// RecordVersions are the versions of a metadata record that this codec can read and write.")
	e.p("func RecordVersions(t RecordType) (lowest, highest int16, ok bool) {\n\tswitch t {")
	for _, m := range records {
		e.p("\tcase RecordType%s:\n\t\treturn %d, %d, true", short(m), m.Versions.Lo, m.Versions.Hi)
	}
	e.p("\t}\n\treturn 0, 0, false\n}\n")
	e.p("// NewMetadataRecord is a record of a type with every field at its default.")
	e.p("func NewMetadataRecord(t RecordType) (MetadataRecord, bool) {\n\tswitch t {")
	for _, m := range records {
		e.p("\tcase RecordType%s:", short(m))
		e.returnNew(m.Root)
	}
	e.p("\t}\n\treturn nil, false\n}\n")
}

// returnNew returns a pointer to a new struct, and true.
func (e *emitter) returnNew(s *Struct) {
	if hasDefaults(s) {
		e.p("\t\tm := New%s()\n\t\treturn &m, true", s.Go)
		return
	}
	e.p("\t\treturn new(%s), true", s.Go)
}
