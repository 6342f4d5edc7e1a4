package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Trace tells an anomaly as a script that a person can follow: its sentence, and of the whole history only the calls that show it, each with its
// beginning and its end, and of their records only those of the anomaly's key that stand near what it speaks of.
func Trace(h History, a Anomaly) string {
	t := tracer{h: h, a: a, done: completions(h)}
	lines := t.lines()
	var b strings.Builder
	fmt.Fprintf(&b, "%s", a.Kind)
	if a.Key != (Key{}) {
		fmt.Fprintf(&b, " in %s", a.Key)
	}
	fmt.Fprintf(&b, ": %s\n", a.Text)
	for _, i := range lines {
		b.WriteString(t.line(&h[i]))
	}
	return b.String()
}

type tracer struct {
	h    History
	a    Anomaly
	done []int32
}

// lines are the indices of the ops to show: both ends of each call, once.
func (t *tracer) lines() []int {
	var all []int
	for _, i := range t.a.Ops {
		all = append(all, t.h[i].Begun)
		if d := t.done[t.h[i].Begun]; d >= 0 {
			all = append(all, int(d))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (t *tracer) line(op *Op) string {
	var b strings.Builder
	typ := string(op.Type)
	if op.Type == Invoke {
		typ = "..."
	}
	fmt.Fprintf(&b, "%12s  p%-4d %-12s %-4s", time.Duration(op.TimeNs).Round(time.Microsecond), op.Process, op.F, typ)
	if g := op.Group; g != nil {
		fmt.Fprintf(&b, " %s", g)
	}
	if c := op.Change; c != nil && op.Type == Invoke && c.Verb == Describe {
		fmt.Fprintf(&b, " %s %s", c.Verb, c.Topic)
	} else if c != nil {
		fmt.Fprintf(&b, " %s", c)
	}
	for _, s := range t.mops(op) {
		b.WriteString(" " + s)
	}
	if op.Err != "" {
		fmt.Fprintf(&b, " (%s)", op.Err)
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// String is a membership in a few words.
func (m *Membership) String() string {
	if m.Generation < 0 {
		return m.Group
	}
	return fmt.Sprintf("%s/%s gen=%d", m.Group, m.Member, m.Generation)
}

// String is a change in a few words.
func (c *Change) String() string {
	s := fmt.Sprintf("%s %s", c.Verb, c.Topic)
	if c.Verb == Describe && !c.Exists {
		return s + " (not there)"
	}
	if c.Partitions > 0 {
		s += fmt.Sprintf(" partitions=%d", c.Partitions)
	}
	if c.Config != "" {
		s += fmt.Sprintf(" %s=%s", c.Config, c.Value)
	}
	return s
}

// near is how many records before and behind those in question a trace shows.
const near = 1

// mops are the records and positions of an op to show.
func (t *tracer) mops(op *Op) []string {
	var of []*Mop
	for i := range op.Mops {
		if m := &op.Mops[i]; t.a.Key == (Key{}) || m.Key == t.a.Key || op.F == Send {
			of = append(of, m)
		}
	}
	values, offsets := t.question()
	var out []string
	left := 0
	for i, m := range of {
		shown := i < near || i >= len(of)-near
		for j := max(0, i-near); j <= min(len(of)-1, i+near) && !shown; j++ {
			shown = of[j].Value != 0 && values[of[j].Value] || offsets[of[j].Offset]
		}
		if !shown {
			left++
			continue
		}
		if left > 0 {
			out = append(out, fmt.Sprintf("(%d more)", left))
			left = 0
		}
		out = append(out, t.mop(op, m))
	}
	return out
}

// question is the values and offsets that the anomaly is about: those of its sends.
func (t *tracer) question() (values, offsets map[int64]bool) {
	values, offsets = map[int64]bool{}, map[int64]bool{}
	for _, i := range t.lines() {
		if op := &t.h[i]; op.F == Send {
			for _, m := range op.Mops {
				values[m.Value] = true
				if m.Offset >= 0 {
					offsets[m.Offset] = true
				}
			}
		}
	}
	return values, offsets
}

func (t *tracer) mop(op *Op, m *Mop) string {
	if op.F == ProducerID {
		return fmt.Sprintf("id=%d epoch=%d", m.Value, m.Epoch)
	}
	var s string
	if m.Value != 0 {
		s = fmt.Sprintf("v%d", m.Value)
	}
	if m.Probe != "" {
		s += string(m.Probe)
	}
	if m.Offset >= 0 || op.F == Committed && op.Type == OK {
		s += fmt.Sprintf("@%d", m.Offset)
	}
	if m.Epoch > 0 {
		s += fmt.Sprintf("/e%d", m.Epoch)
	}
	if m.Damaged {
		s += "!"
	}
	switch {
	case s == "":
		return m.Key.String()
	case t.a.Key != m.Key:
		return m.Key.String() + ":" + s
	}
	return s
}
