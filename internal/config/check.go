package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Validate checks one value of one key. Errors are *UnknownKeyError, *ValueError and *RefusedError.
func Validate(scope Scope, name, value string) error {
	k, ok := Lookup(scope, name)
	if !ok {
		return &UnknownKeyError{Scope: scope, Name: name, Nearest: Nearest(scope, name)}
	}
	return k.Check(value)
}

// Check validates a value of this key: its type first, then what the key itself asks for.
func (k *Key) Check(value string) error {
	v := strings.TrimSpace(value)
	if reason := typeReason(k.Type, v); reason != "" {
		return &ValueError{Name: k.Name, Value: k.shown(value), Reason: reason}
	}
	if k.Validate == nil {
		return nil
	}
	err := k.Validate(v)
	if refused, ok := err.(*RefusedError); ok { //nolint:errorlint // returned by the key itself, never wrapped
		refused.Name = k.Name
		return refused
	}
	if item, ok := err.(*ValueError); ok { //nolint:errorlint // likewise: one item of a list is wrong
		item.Name = k.Name
		return item
	}
	if err != nil {
		return &ValueError{Name: k.Name, Value: k.shown(k.Canonical(v)), Reason: err.Error()}
	}
	return nil
}

// shown hides what must not stand in logs.
func (k *Key) shown(value string) string {
	if k.Sensitive {
		return "[hidden]"
	}
	return value
}

// typeReason says why v is not of type t, in Kafka's words, or nothing.
func typeReason(t Type, v string) string {
	var err error
	switch t {
	case Boolean:
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return "Expected value to be either true or false"
		}
	case Short:
		_, err = strconv.ParseInt(v, 10, 16)
	case Int:
		_, err = strconv.ParseInt(v, 10, 32)
	case Long:
		_, err = strconv.ParseInt(v, 10, 64)
	case Double:
		var f float64
		if f, err = strconv.ParseFloat(v, 64); err == nil && math.IsNaN(f) {
			err = strconv.ErrRange
		}
	}
	if err != nil {
		return "Not a number of type " + strings.ToUpper(t.String())
	}
	return ""
}

// Canonical is a value as Kafka prints it after parsing: trimmed, booleans in lower case, numbers without leading zeros or plus.
// A value that is not of the key's type comes back as it is.
func (k *Key) Canonical(value string) string {
	v := strings.TrimSpace(value)
	switch k.Type {
	case Boolean:
		return strings.ToLower(v)
	case Short, Int, Long:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case Double:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return javaDouble(f)
		}
	case List:
		return strings.Join(unique(splitList(v)), ",")
	}
	return v
}

// unique drops repeated items, as Kafka does from 4.2 on.
func unique(items []string) []string {
	var out []string
	for _, item := range items {
		if !slices.Contains(out, item) {
			out = append(out, item)
		}
	}
	return out
}

// javaDouble prints as Java's Double.toString does, which is what tools compare with.
func javaDouble(f float64) string {
	if abs := math.Abs(f); f == 0 || abs >= 1e-3 && abs < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}

// splitList reads a comma separated list; white space around items does not count and an empty string is an empty list.
func splitList(v string) []string {
	v = strings.TrimSpace(v)
	if v == "" {
		return nil
	}
	items := strings.Split(v, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// rule pairs a check with what it lets through, in words.
type rule struct {
	words string
	check func(string) error
}

// with puts a rule on a row of the table.
func (k Key) with(r rule) Key {
	k.Valid, k.Validate = r.words, r.check
	return k
}

// atLeast lets whole numbers from low on through.
func atLeast(low int64) rule {
	return rule{fmt.Sprintf("[%d,...]", low), func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n < low {
			return fmt.Errorf("Value must be at least %d", low)
		}
		return nil
	}}
}

// between lets whole numbers from low to high through.
func between(low, high int64) rule {
	return rule{fmt.Sprintf("[%d,...,%d]", low, high), func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err == nil && n < low:
			return fmt.Errorf("Value must be at least %d", low)
		case err == nil && n > high:
			return fmt.Errorf("Value must be no more than %d", high)
		}
		return nil
	}}
}

// fraction lets numbers from 0 to high through.
func fraction(high float64) rule {
	top := strconv.FormatFloat(high, 'f', -1, 64)
	return rule{"[0,...," + top + "]", func(v string) error {
		f, err := strconv.ParseFloat(v, 64)
		switch {
		case err == nil && f < 0:
			return fmt.Errorf("Value must be at least 0")
		case err == nil && f > high:
			return fmt.Errorf("Value must be no more than %s", top)
		}
		return nil
	}}
}

// oneOf lets exactly these strings through.
func oneOf(values ...string) rule {
	list := strings.Join(values, ", ")
	return rule{"[" + list + "]", func(v string) error {
		for _, want := range values {
			if v == want {
				return nil
			}
		}
		return fmt.Errorf("String must be one of: %s", list)
	}}
}

// oneOfAnyCase is oneOf without regard to case.
func oneOfAnyCase(values ...string) rule {
	list := strings.Join(values, ", ")
	return rule{"(case insensitive) [" + list + "]", func(v string) error {
		for _, want := range values {
			if strings.EqualFold(v, want) {
				return nil
			}
		}
		return fmt.Errorf("String must be one of (case insensitive): %s", list)
	}}
}

// someOf lets lists of these strings through, the empty list too where that makes sense.
func someOf(empty bool, values ...string) rule {
	one := oneOf(values...)
	return rule{one.words, func(v string) error {
		items := splitList(v)
		if len(items) == 0 && !empty {
			return fmt.Errorf("Configuration must not be empty. Valid values include: %s", one.words)
		}
		for _, item := range items {
			if err := one.check(item); err != nil {
				return &ValueError{Value: item, Reason: err.Error()}
			}
		}
		return nil
	}}
}

// betweenOr is between with one more value.
func betweenOr(low, high, special int64) rule {
	return rule{fmt.Sprintf("[%d,...,%d] or %d", low, high, special), func(v string) error {
		if v == strconv.FormatInt(special, 10) || between(low, high).check(v) == nil {
			return nil
		}
		return fmt.Errorf("Value must be between %d and %d or equal to %d", low, high, special)
	}}
}

// notEmpty wants something.
func notEmpty() rule {
	return rule{"non-empty string", func(v string) error {
		if v == "" {
			return fmt.Errorf("String must be non-empty")
		}
		return nil
	}}
}
