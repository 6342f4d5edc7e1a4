package kafkatools

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// option is one flag of a tool.
type option struct {
	name string
	arg  string // what stands in <> in the help; empty for a switch
	kind argKind
	def  string // shown, and the value where the option is not given
	doc  string
	// optional: the argument may be left out (--state, --compression-codec).
	optional bool
	// many: takes all arguments up to the next option (--producer-props a=b c=d).
	many bool
	// required by the parser itself; the tools check most of what they need with words of their own.
	required bool
}

type argKind string

const (
	argString  argKind = "String"
	argInteger argKind = "Integer"
	argLong    argKind = "Long"
)

// sw is a switch.
func sw(name, doc string) option { return option{name: name, doc: doc} }

// opt is an option with an argument of text.
func opt(name, arg, doc string) option {
	return option{name: name, arg: arg, kind: argString, doc: doc}
}

func (o option) number(k argKind) option {
	o.kind = k
	return o
}

func (o option) defaultTo(v string) option {
	o.def = v
	return o
}

func (o option) optionalArg() option {
	o.optional = true
	return o
}

func (o option) manyArgs() option {
	o.many = true
	return o
}

func (o option) require() option {
	o.required = true
	return o
}

// common are the options all tools have.
func common() []option {
	return []option{sw("help", "Print this."), sw("version", "Print the version.")}
}

// options are the parsed flags of a run.
type options struct {
	known map[string]option
	given map[string][]string
	order []string // names in the order they were given
}

// parseOptions reads flags as Kafka's tools do: --name value or --name=value, whole names only, everything repeatable.
func parseOptions(known []option, args []string) (*options, error) {
	o := &options{known: map[string]option{}, given: map[string][]string{}}
	for _, k := range append(known, common()...) {
		o.known[k.name] = k
	}
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			if name, ok = strings.CutPrefix(args[i], "-"); !ok || name == "" {
				return nil, &usageError{message: "Found non-option arguments: [" + args[i] + "]", bare: true}
			}
		}
		name, value, hasValue := strings.Cut(name, "=")
		k, err := o.find(name)
		if err != nil {
			return nil, err
		}
		o.order = append(o.order, k.name)
		switch {
		case k.arg == "":
			o.given[k.name] = append(o.given[k.name], "")
			continue
		case hasValue:
		case i+1 < len(args) && (!strings.HasPrefix(args[i+1], "--") || len(args[i+1]) < 3):
			i++
			value = args[i]
		case k.optional:
			o.given[k.name] = append(o.given[k.name], "")
			continue
		default:
			return nil, fmt.Errorf("Option %s requires an argument", k.name)
		}
		if err := k.check(value); err != nil {
			return nil, err
		}
		o.given[k.name] = append(o.given[k.name], value)
		for k.many && i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
			i++
			o.given[k.name] = append(o.given[k.name], args[i])
		}
	}
	return o, o.complete()
}

func (o *options) complete() error {
	if o.has("help") || o.has("version") {
		return nil
	}
	var missing []string
	for name, k := range o.known {
		if k.required && !o.has(name) {
			missing = append(missing, "--"+name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		return fmt.Errorf("argument %s is required", missing[0])
	}
	return nil
}

func (o *options) find(name string) (option, error) {
	if k, ok := o.known[name]; ok {
		return k, nil
	}
	return option{}, fmt.Errorf("%s is not a recognized option", name)
}

func (k option) check(value string) error {
	var err error
	switch k.kind {
	case argInteger:
		_, err = strconv.ParseInt(value, 10, 32)
	case argLong:
		_, err = strconv.ParseInt(value, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("Cannot parse argument '%s' of option %s", value, k.name)
	}
	return nil
}

func (o *options) has(name string) bool { return len(o.given[name]) > 0 }

// value is the last one given, or the default.
func (o *options) value(name string) string {
	if v := o.given[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return o.known[name].def
}

func (o *options) values(name string) []string { return o.given[name] }

// int is the value of a number, which has been checked; 0 where it is not given and has no default.
func (o *options) int(name string) int64 {
	n, _ := strconv.ParseInt(o.value(name), 10, 64)
	return n
}

// count is how many of the options are given.
func (o *options) count(names ...string) int {
	n := 0
	for _, name := range names {
		if o.has(name) {
			n++
		}
	}
	return n
}

// need demands an option, in Kafka's words.
func (o *options) need(names ...string) error {
	for _, name := range names {
		if !o.has(name) {
			return wrong("Missing required argument \"[%s]\"", name)
		}
	}
	return nil
}

// never refuses options beside another one, in Kafka's words.
func (o *options) never(with string, names ...string) error {
	if !o.has(with) {
		return nil
	}
	for _, name := range names {
		if o.has(name) {
			return wrong("Option \"[%s]\" can't be used with option \"[%s]\"", with, name)
		}
	}
	return nil
}

// firstOf is the first error.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoBroker = errors.New("--bootstrap-server must be specified")
