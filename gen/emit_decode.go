package main

import "fmt"

func (e *emitter) decoder(s *Struct) {
	v := "v"
	if !e.usesVersion(s) {
		v = "_"
	}
	some, all := e.flexibility(s.Within)
	if len(s.Fields) == 0 && !some {
		e.p("func (*%s) decode(*Decoder, int16) {}\n", s.Go)
		return
	}
	e.p("func (m *%s) decode(d *Decoder, %s int16) {", s.Go, v)
	e.body(s, func(e *emitter) {
		for _, f := range s.Fields {
			if in := f.Within.and(s.Within); f.Tag < 0 {
				e.guarded(condition(in, s.Within), func() { e.read(f, in) })
			}
		}
		if some {
			cond := "flex"
			if all {
				cond = ""
			}
			e.guarded(cond, func() { e.readTags(s) })
		}
	})
	e.p("}\n")
}

// read emits the decoding of one field in the versions of in.
func (e *emitter) read(f *Field, in Range) {
	x, flex, null := "m."+f.Name, e.flexExpr(in), boolExpr(f.Null, in)
	p, _ := primitiveOf(f.Type)
	switch {
	case f.Array && f.Sub != nil:
		e.p("\t%s = newArray[%s](d, %s, %s, %d)", x, f.Sub.Go, flex, null, e.minSize(f.Sub))
		e.p("\tfor i := range %s {", x)
		e.p("\t\tif d.err != nil {\n\t\t\treturn\n\t\t}")
		if hasDefaults(f.Sub) {
			e.p("\t\t%s[i] = New%s()", x, f.Sub.Go)
		}
		e.p("\t\t%s[i].decode(d, v)\n\t}", x)
	case f.Array:
		e.p("\t%s = d.%ss(%s, %s)", x, p.read, flex, null)
	case f.pointer():
		e.p("\tif d.present(unsafe.Sizeof(*%s)) {", x)
		if hasDefaults(f.Sub) {
			e.p("\t\tp := New%s()\n\t\t%s = &p", f.Sub.Go, x)
		} else {
			e.p("\t\t%s = new(%s)", x, f.Sub.Go)
		}
		e.p("\t\t%s.decode(d, v)\n\t}", x)
	case f.Sub != nil:
		e.p("\t%s.decode(d, v)", x)
	default:
		e.p("\t%s = %s", x, readScalar(f, p, flex, null))
	}
}

func readScalar(f *Field, p primitive, flex, null string) string {
	switch {
	case f.isErrorCode():
		return "d.errorCode()"
	case f.Type == "string" && f.nullable():
		return fmt.Sprintf("d.nullString(%s, %s)", flex, null)
	case f.Type == "string":
		return fmt.Sprintf("d.string(%s)", flex)
	case p.goType == "[]byte":
		return fmt.Sprintf("d.bytes(%s, %s)", flex, null)
	}
	return "d." + p.read + "()"
}

func (e *emitter) readTags(s *Struct) {
	tagged := sortedTags(s)
	if len(tagged) == 0 {
		e.p("\tm.UnknownTags = d.tags()")
		return
	}
	e.p("\tfor range d.tagCount() {")
	e.p("\t\ttag, outer := d.openTag()")
	e.p("\t\tswitch {")
	for _, f := range tagged {
		in := f.Within.and(s.Within)
		cond := condition(in, s.Within.and(e.msg.Flexible))
		if cond != "" {
			cond = " && " + cond
		}
		e.p("\t\tcase tag == %d%s:", f.Tag, cond)
		e.read(f, in.and(e.msg.Flexible))
	}
	e.p("\t\tdefault:\n\t\t\tm.UnknownTags = d.unknown(m.UnknownTags, tag)\n\t\t}")
	e.p("\t\td.closeTag(outer)")
	e.p("\t\tif d.err != nil {\n\t\t\treturn\n\t\t}\n\t}")
}
