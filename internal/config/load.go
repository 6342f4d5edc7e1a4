package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// LoadOptions say where settings come from, weakest first: the file, then the environment, then Set.
type LoadOptions struct {
	File    string   // server.properties, or YAML when the name ends in .yaml or .yml; empty for none
	Environ []string // "NAME=value" as os.Environ has them
	Set     []string // "key=value" from -X and from flags that stand for a key; the last one wins
	// ReadFile replaces os.ReadFile, for tests.
	ReadFile func(name string) ([]byte, error)
}

// Static is the configuration a node starts with. It has been checked, so the getters of its Values cannot fail.
type Static struct {
	Values
	places map[string]string
}

// Place says where a key was set, for messages: "server.properties:12", "KAFKA_LOG_RETENTION_MS", "-X"; empty when it was not.
func (s *Static) Place(name string) string { return s.places[name] }

// Set is everything that was set, canonical, by name. The map is the caller's.
func (s *Static) Set() map[string]string {
	out := make(map[string]string, len(s.places))
	for name := range s.places {
		out[name] = s.layers[0][name]
	}
	return out
}

// Load reads and checks all sources. Every mistake is reported at once, each with its place; errors.As finds *UnknownKeyError,
// *ValueError and *RefusedError in what comes back. The warnings are whole sentences for the user.
func Load(o LoadOptions) (*Static, []string, error) {
	l := loader{static: &Static{places: map[string]string{}}, values: map[string]string{}}
	if o.File != "" {
		l.file(o)
	}
	kafka, klamm := environment(o.Environ)
	for _, s := range append(kafka, klamm...) {
		l.variable(s)
	}
	for _, x := range o.Set {
		name, value, ok := strings.Cut(x, "=")
		if !ok {
			l.fail("-X "+x, errors.New("expected key=value"))
			continue
		}
		l.add("-X "+name, setting{name: strings.TrimSpace(name), value: value})
	}
	l.static.layers = []map[string]string{l.values}
	if len(l.errs) == 0 {
		l.together()
	}
	if len(l.errs) > 0 {
		return nil, l.warnings, errors.Join(l.errs...)
	}
	return l.static, l.warnings, nil
}

// loader collects settings, warnings and mistakes.
type loader struct {
	static   *Static
	values   map[string]string
	warnings []string
	errs     []error
}

func (l *loader) fail(place string, err error) {
	l.errs = append(l.errs, &SourceError{Place: place, Err: err})
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

func (l *loader) file(o LoadOptions) {
	read := o.ReadFile
	if read == nil {
		read = os.ReadFile
	}
	text, err := read(o.File)
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	parse := parseProperties
	if ext := filepath.Ext(o.File); ext == ".yaml" || ext == ".yml" {
		parse = parseYAML
	}
	settings, err := parse(string(text))
	if err != nil {
		l.fail(o.File, err)
		return
	}
	lines := make(map[string]int, len(settings))
	for _, s := range settings {
		if first, ok := lines[s.name]; ok {
			l.warn("%s:%d: %s was already set in line %d; the last one counts", o.File, s.line, s.name, first)
		}
		lines[s.name] = s.line
		l.add(fmt.Sprintf("%s:%d", o.File, s.line), s)
	}
}

// add takes one setting, or explains why not.
func (l *loader) add(place string, s setting) {
	k, err := settable(s.name)
	if err == nil {
		err = k.Check(s.value)
	}
	if err != nil {
		l.fail(place, err)
		return
	}
	if _, known := Lookup(Broker, s.name); !known {
		l.warn("%s: %s has no effect: listeners have no settings of their own here", place, s.name)
		return
	}
	if k.Ignored {
		l.warn("%s: %s has no effect: %s", place, s.name, k.Why)
	}
	l.values[s.name] = k.Canonical(s.value)
	l.static.places[s.name] = place
}

// variable takes a setting of the environment. Others put variables there too, so one that looks like no key at all is only warned
// about; one that is nearly a key is a mistake all the same.
func (l *loader) variable(s namedSetting) {
	var unknown *UnknownKeyError
	if _, err := settable(s.name); errors.As(err, &unknown) && unknown.Nearest == "" {
		l.warn("%s is no setting: no key is called %s", s.variable, s.name)
		return
	}
	l.add(s.variable, s.setting)
}

// settable finds the key a name stands for in a file: itself, or for listener.name.internal.max.connections the key at its end.
func settable(name string) (*Key, error) {
	if k, ok := Lookup(Broker, name); ok {
		return k, nil
	}
	if rest, ok := strings.CutPrefix(name, "listener.name."); ok {
		_, rest, _ = strings.Cut(rest, ".")
		if k, ok := Lookup(Broker, rest); ok {
			return k, nil
		}
		// listener.name.NAME.MECHANISM.sasl.jaas.config and its siblings
		if _, rest, _ = strings.Cut(rest, "."); rest != "" {
			if k, ok := Lookup(Broker, rest); ok {
				return k, nil
			}
		}
	}
	return nil, &UnknownKeyError{Scope: Broker, Name: name, Nearest: Nearest(Broker, name)}
}

// together checks what no key can check alone.
func (l *loader) together() {
	l.identity()
	for _, check := range []func(*Static) error{checkRoles, checkListeners, checkRanges} {
		if err := check(l.static); err != nil {
			l.errs = append(l.errs, err)
		}
	}
}

// identity makes node.id and broker.id say the same, as Kafka does.
func (l *loader) identity() {
	node, hasNode := l.values["node.id"]
	broker, hasBroker := l.values["broker.id"]
	switch {
	case hasNode && hasBroker && node != broker:
		l.fail(l.static.places["broker.id"], fmt.Errorf("broker.id is %s but node.id is %s; they name the same thing, drop broker.id", broker, node))
	case hasBroker && !hasNode:
		l.values["node.id"], l.static.places["node.id"] = broker, l.static.places["broker.id"]
	case hasNode && !hasBroker:
		l.values["broker.id"], l.static.places["broker.id"] = node, l.static.places["node.id"]
	}
}
