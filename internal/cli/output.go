package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// table is the form answers have for people.
type table struct {
	columns []column
	rows    [][]string
}

// column is one of a table; a wide one is left out of -o text.
type column struct {
	name  string
	wide  bool
	right bool // numbers
}

func columns(spec ...string) []column {
	out := make([]column, len(spec))
	for i, s := range spec {
		c := column{name: s}
		for {
			if rest, ok := strings.CutPrefix(c.name, "+"); ok {
				c.name, c.wide = rest, true
			} else if rest, ok := strings.CutPrefix(c.name, ">"); ok {
				c.name, c.right = rest, true
			} else {
				break
			}
		}
		out[i] = c
	}
	return out
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// format is what -o says, checked.
func (a *app) format() (string, error) {
	f := a.flags.output
	if f == "" {
		f = a.env.variable("KLAMM_OUTPUT")
	}
	switch f {
	case "":
		return "text", nil
	case "text", "wide", "json", "yaml":
		return f, nil
	}
	return "", usage("-o %s: expected text, wide, json or yaml", f)
}

// show prints value for programs or t for people. head and tail stand around the table.
func (a *app) show(value any, head string, t *table, tail string) error {
	f, err := a.format()
	if err != nil {
		return err
	}
	switch f {
	case "json":
		return a.showJSON(value)
	case "yaml":
		return a.showYAML(value)
	}
	a.print(head)
	a.print(t.text(f == "wide"))
	a.print(tail)
	return nil
}

func (a *app) print(s string) {
	// Errors of the buffered writer come back from Flush.
	_, _ = a.out.WriteString(s)
}

func (a *app) printf(format string, args ...any) { a.print(fmt.Sprintf(format, args...)) }

func (a *app) showJSON(value any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// showYAML goes through JSON, so that both have the same names in the same order.
func (a *app) showYAML(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err
	}
	plainStyle(&node)
	e := yaml.NewEncoder(a.out)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return err
	}
	return e.Close()
}

func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
}

// text lays the table out with two spaces between columns and none behind the last.
func (t *table) text(wide bool) string {
	if t == nil || len(t.columns) == 0 {
		return ""
	}
	var shown []int
	for i, c := range t.columns {
		if wide || !c.wide {
			shown = append(shown, i)
		}
	}
	width := make([]int, len(t.columns))
	for _, i := range shown {
		width[i] = utf8.RuneCountInString(t.columns[i].name)
		for _, row := range t.rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b bytes.Buffer
	line := func(cell func(int) string) {
		for n, i := range shown {
			pad := strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell(i))))
			switch {
			case t.columns[i].right:
				b.WriteString(pad + cell(i))
			case n+1 < len(shown):
				b.WriteString(cell(i) + pad)
			default:
				b.WriteString(cell(i))
			}
			if n+1 < len(shown) {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	line(func(i int) string { return t.columns[i].name })
	for _, row := range t.rows {
		line(func(i int) string { return row[i] })
	}
	return b.String()
}

// joinInts prints broker ids as Kafka does: 1,2,3.
func joinInts[T ~int32](ids []T) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = strconv.Itoa(int(id))
	}
	return strings.Join(s, ",")
}

// size prints bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, i := float64(n)/unit, 0
	for v >= unit && i < 4 {
		v /= unit
		i++
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + []string{"KiB", "MiB", "GiB", "TiB", "PiB"}[i]
}

// plural counts things for people.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
