package main

import "fmt"

func (e *emitter) encoder(s *Struct) {
	v := "v"
	if !e.usesVersion(s) {
		v = "_"
	}
	recv := "m "
	if len(s.Fields) == 0 && !some2(e.flexibility(s.Within)) {
		recv = ""
	}
	e.p("func (%s*%s) append(dst []byte, %s int16) []byte {", recv, s.Go, v)
	e.body(s, func(e *emitter) {
		for _, f := range s.Fields {
			if in := f.Within.and(s.Within); f.Tag < 0 {
				e.guarded(condition(in, s.Within), func() { e.write(f, in) })
			}
		}
		if some, all := e.flexibility(s.Within); some {
			cond := "flex"
			if all {
				cond = ""
			}
			e.guarded(cond, func() { e.writeTags(s) })
		}
	})
	e.p("\treturn dst\n}\n")
}

func some2(some, _ bool) bool { return some }

func (e *emitter) guarded(cond string, write func()) {
	if cond == "" {
		write()
		return
	}
	e.p("\tif %s {", cond)
	write()
	e.p("\t}")
}

// usesVersion tells whether the code of s looks at the version: it has conditions, or passes it on.
func (e *emitter) usesVersion(s *Struct) bool {
	if some, all := e.flexibility(s.Within); some && !all {
		return true
	}
	for _, f := range s.Fields {
		in := f.Within.and(s.Within)
		if f.Sub != nil || condition(in, s.Within) != "" {
			return true
		}
		if f.nullable() {
			if x := boolExpr(f.Null, in); x != "true" && x != "false" {
				return true
			}
		}
	}
	return false
}

// write emits the encoding of one field in the versions of in.
func (e *emitter) write(f *Field, in Range) {
	x, flex, null := "m."+f.Name, e.flexExpr(in), boolExpr(f.Null, in)
	switch {
	case f.Array && f.Sub != nil:
		isNull := "false"
		if f.nullable() {
			isNull = x + " == nil"
			if null != "true" {
				isNull += " && " + null
			}
		}
		e.p("\tdst = appendArrayLen(dst, len(%s), %s, %s)", x, isNull, flex)
		e.p("\tfor i := range %s {", x)
		e.p("\t\tdst = %s[i].append(dst, v)\n\t}", x)
	case f.Array:
		e.p("\tdst = append%s(dst, %s, %s, %s)", plural(f.Type), x, flex, null)
	case f.pointer():
		e.writePointer(f, x, null)
	case f.Sub != nil:
		e.p("\tdst = %s.append(dst, v)", x)
	default:
		e.p("\t%s", writeScalar(f, x, flex, null))
	}
}

func (e *emitter) writePointer(f *Field, x, null string) {
	absent := "\t\tdst = appendPresent(dst, false)"
	if null != "true" {
		// Where null is not allowed, nil stands for the struct with its defaults.
		panic(fmt.Sprintf("%s: a struct that is null in some versions only is not supported", f.Name))
	}
	e.p("\tif %s == nil {\n%s\n\t} else {", x, absent)
	e.p("\t\tdst = appendPresent(dst, true)\n\t\tdst = %s.append(dst, v)\n\t}", x)
}

func writeScalar(f *Field, x, flex, null string) string {
	p, _ := primitiveOf(f.Type)
	switch {
	case f.isErrorCode():
		return fmt.Sprintf("dst = appendInt16(dst, int16(%s))", x)
	case f.Type == "int8":
		return fmt.Sprintf("dst = append(dst, byte(%s))", x)
	case f.Type == "uuid":
		return fmt.Sprintf("dst = append(dst, %s[:]...)", x)
	case f.Type == "string" && f.nullable():
		return fmt.Sprintf("dst = appendNullString(dst, %s, %s, %s)", x, flex, null)
	case f.Type == "string":
		return fmt.Sprintf("dst = appendString(dst, %s, %s)", x, flex)
	case p.goType == "[]byte":
		return fmt.Sprintf("dst = appendBytes(dst, %s, %s, %s)", x, flex, null)
	}
	return fmt.Sprintf("dst = %s(dst, %s)", p.write, x)
}

// plural names the functions for arrays of a primitive: Int32s, Strings, UUIDs.
func plural(typ string) string {
	if typ == "uuid" {
		return "UUIDs"
	}
	return string(typ[0]-'a'+'A') + typ[1:] + "s"
}

func (e *emitter) writeTags(s *Struct) {
	tagged := sortedTags(s)
	if len(tagged) == 0 {
		e.p("\tdst = appendUvarint(dst, uint32(m.UnknownTags.count()))")
		e.p("\tdst = appendTags(dst, m.UnknownTags, 0, allTags)")
		return
	}
	e.p("\ttags := m.UnknownTags.count()")
	for _, f := range tagged {
		e.p("\tif %s {\n\t\ttags++\n\t}", e.tagCondition(s, f))
	}
	e.p("\tdst = appendUvarint(dst, uint32(tags))")
	from := 0
	for _, f := range tagged {
		e.p("\tdst = appendTags(dst, m.UnknownTags, %d, %d)", from, f.Tag)
		from = f.Tag
		e.p("\tif %s {", e.tagCondition(s, f))
		e.p("\t\tvar mark int\n\t\tdst, mark = openTag(dst, %d)", f.Tag)
		e.write(f, f.Within.and(s.Within).and(e.msg.Flexible))
		e.p("\t\tdst = closeTag(dst, mark)\n\t}")
	}
	e.p("\tdst = appendTags(dst, m.UnknownTags, %d, allTags)", from)
}

// tagCondition is true when a tagged field has to be written: the version knows it and it is not at its default.
func (e *emitter) tagCondition(s *Struct, f *Field) string {
	in := f.Within.and(s.Within)
	cond := condition(in, s.Within.and(e.msg.Flexible))
	if cond != "" {
		cond += " && "
	}
	return cond + differs(f)
}

// differs is the expression for "the field is not at its default".
func differs(f *Field) string {
	x := "m." + f.Name
	zero := f.Default
	switch {
	case f.Array && !f.nullable():
		return "len(" + x + ") > 0"
	case f.Array, f.pointer(), f.nullable():
		return x + " != nil"
	case f.Sub != nil:
		return "!" + x + ".isDefault()"
	case f.Type == "bool" && zero == "true":
		return "!" + x
	case f.Type == "bool":
		return x
	case f.Type == "string":
		return fmt.Sprintf("%s != %q", x, zero)
	case f.Type == "uuid":
		return "!" + x + ".IsZero()"
	case f.Type == "bytes", f.Type == "records":
		return "len(" + x + ") > 0"
	case zero == "":
		zero = "0"
	}
	return x + " != " + zero
}

// needsIsDefault tells whether some tagged field holds s by value.
func (e *emitter) needsIsDefault(s *Struct) bool {
	for _, outer := range append([]*Struct{e.msg.Root}, e.msg.Structs...) {
		for _, f := range outer.Fields {
			if f.Sub == s && !f.Array && !f.pointer() && (f.Tag >= 0 || outer != s && e.needsIsDefault(outer)) {
				return true
			}
		}
	}
	return false
}

func (e *emitter) isDefault(s *Struct) {
	e.p("// isDefault tells whether the struct, being a tagged field, can be left out.")
	e.p("func (m *%s) isDefault() bool {", s.Go)
	for _, f := range s.Fields {
		e.p("\tif %s {\n\t\treturn false\n\t}", differs(f))
	}
	e.p("\treturn m.UnknownTags == nil\n}\n")
}
