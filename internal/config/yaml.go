package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads a mapping whose keys are Kafka's names, whole (log.retention.ms: 1) or nested at the dots (log: {retention: {ms: 1}}).
// Lists become comma separated values; null leaves a key unset. Anchors are refused: nested aliases grow without bound.
func parseYAML(text string) ([]setting, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return flatten(nil, "", doc.Content[0])
}

func flatten(out []setting, prefix string, n *yaml.Node) ([]setting, error) {
	fail := func(format string, args ...any) error {
		return &SourceError{Place: "line " + strconv.Itoa(n.Line), Err: fmt.Errorf(format, args...)}
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				return nil, fail("a key must be a plain name")
			}
			name := key.Value
			if prefix != "" {
				name = prefix + "." + name
			}
			var err error
			if out, err = flatten(out, name, n.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case yaml.SequenceNode:
		items := make([]string, 0, len(n.Content))
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, fail("the items of %s must be plain values", prefix)
			}
			items = append(items, item.Value)
		}
		return appendYAML(out, prefix, strings.Join(items, ","), n)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return out, nil
		}
		return appendYAML(out, prefix, n.Value, n)
	}
	return nil, fail("anchors and aliases are not supported")
}

func appendYAML(out []setting, name, value string, n *yaml.Node) ([]setting, error) {
	if name == "" {
		return nil, &SourceError{Place: "line " + strconv.Itoa(n.Line), Err: errors.New("expected keys and values")}
	}
	return append(out, setting{name: name, value: value, line: n.Line}), nil
}
