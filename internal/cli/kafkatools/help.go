package kafkatools

import (
	"slices"
	"strings"
)

// help lays options out in two columns, as Kafka's tools do on a terminal of 80.
func help(list []option) string {
	all := append(slices.Clone(list), common()...)
	slices.SortFunc(all, func(a, b option) int { return strings.Compare(a.name, b.name) })
	const left, right = 40, 39
	var b strings.Builder
	row := func(l, r []string) {
		for i := range max(len(l), len(r)) {
			line := ""
			if i < len(l) {
				line = l[i]
			}
			b.WriteString(pad(line, left) + " ")
			line = ""
			if i < len(r) {
				line = r[i]
			}
			b.WriteString(pad(line, right) + "\n")
		}
	}
	row([]string{"Option"}, []string{"Description"})
	row([]string{"------"}, []string{"-----------"})
	for _, o := range all {
		doc := o.doc
		if o.def != "" {
			doc += " (default: " + o.def + ")"
		}
		row(wrap(o.form(), left), wrap(doc, right))
	}
	return b.String()
}

func (o option) form() string {
	s := "--" + o.name
	switch {
	case o.arg == "":
		return s
	case o.optional:
		return s + " [" + string(o.kind) + ": " + o.arg + "]"
	}
	return s + " <" + string(o.kind) + ": " + o.arg + ">"
}

// wrap breaks text at spaces; following lines are set in by two.
func wrap(s string, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			out = append(out, line)
			line = "  " + word
		default:
			line += " " + word
		}
	}
	return append(out, line)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-len(s)))
}

// usageLine is the first thing kafka-producer-perf-test prints when it is called wrongly.
func usageLine(name string, list []option) string {
	line, out := "usage: "+name, ""
	for _, o := range list {
		part := "--" + o.name
		if o.arg != "" {
			part += " " + strings.ToUpper(o.arg)
		}
		if !o.required {
			part = "[" + part + "]"
		}
		if len(line)+1+len(part) > 75 {
			out += line + "\n"
			line = "      "
		}
		line += " " + part
	}
	return out + line + "\n"
}
