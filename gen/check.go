package main

import "fmt"

// check finds mistakes that one file alone cannot show, and those the Go compiler would report less clearly.
func check(files []*File) error {
	types := map[string]string{}
	keys := map[int]string{}
	records := map[int]string{}
	for _, f := range files {
		if f.API != nil {
			if other, ok := keys[f.API.Key]; ok {
				return fmt.Errorf("%s: key %d is already in %s", f.Path, f.API.Key, other)
			}
			keys[f.API.Key] = f.Path
			if len(f.Messages) != 2 || f.Messages[0].Kind != KindRequest || f.Messages[1].Kind != KindResponse {
				return fmt.Errorf("%s: want one request and one response", f.Path)
			}
		}
		for _, m := range f.Messages {
			if m.Kind == KindRecord {
				if other, ok := records[m.Key]; ok {
					return fmt.Errorf("%s: record type %d is already in %s", f.Path, m.Key, other)
				}
				records[m.Key] = f.Path
			}
			for _, s := range append([]*Struct{m.Root}, m.Structs...) {
				if other, ok := types[s.Go]; ok {
					return fmt.Errorf("%s:%d: %s is already defined in %s", f.Path, s.line, s.Go, other)
				}
				types[s.Go] = f.Path
				if err := checkFields(m, s); err != nil {
					return fmt.Errorf("%s:%w", f.Path, err)
				}
			}
		}
	}
	return nil
}

func checkFields(m *Message, s *Struct) error {
	names, tags := map[string]bool{}, map[int]bool{}
	for _, f := range s.Fields {
		in := f.Within.and(s.Within)
		switch {
		case names[f.Name]:
			return fmt.Errorf("%d: field %s is defined twice", f.line, f.Name)
		case in.empty():
			return fmt.Errorf("%d: field %s occurs in no version of %s", f.line, f.Name, s.Go)
		case f.nullable() && f.Null.and(in).empty():
			return fmt.Errorf("%d: field %s is null in versions it does not occur in", f.line, f.Name)
		case f.nullable() && !f.Array && f.Sub == nil && f.Type != "string" && f.Type != "bytes" && f.Type != "records":
			return fmt.Errorf("%d: a %s cannot be null", f.line, f.Type)
		case f.Tag >= 0 && (m.Flexible.empty() || in.Lo < m.Flexible.Lo):
			return fmt.Errorf("%d: tagged field %s in a version that is not flexible", f.line, f.Name)
		case f.Default != "" && (f.Array || f.Sub != nil || f.nullable()):
			return fmt.Errorf("%d: only plain values have defaults; null and empty need none", f.line)
		case f.Tag >= 0 && tags[f.Tag]:
			return fmt.Errorf("%d: tag %d is used twice", f.line, f.Tag)
		}
		names[f.Name] = true
		tags[f.Tag] = true
	}
	return nil
}
