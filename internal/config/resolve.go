package config

import (
	"slices"
	"strconv"

	"github.com/klamm/klamm/internal/model"
)

// Dynamic holds the values that clients set while nodes run; the metadata image is one. Overrides answers nil where there are none; the map
// must not be modified. The broker with the empty name is the default of all brokers.
type Dynamic interface {
	Overrides(t model.ResourceType, name string) map[string]string
}

// Resolver finds the effective value of a key for one broker.
type Resolver struct {
	static *Static
	name   string // of this broker as a resource
}

// NewResolver makes the resolver of a broker.
func NewResolver(static *Static, broker model.BrokerID) *Resolver {
	return &Resolver{static: static, name: strconv.Itoa(int(broker))}
}

// layers are the dynamic values of this broker, those of all brokers, and the static ones, strongest first.
func (r *Resolver) layers(dyn Dynamic) []layer {
	var own, all map[string]string
	if dyn != nil {
		own = dyn.Overrides(model.ResourceBroker, r.name)
		all = dyn.Overrides(model.ResourceBroker, "")
	}
	return []layer{
		{own, SourceDynamicBroker}, {all, SourceDynamicDefaultBroker}, {r.static.Values.layers[0], SourceStatic},
	}
}

type layer struct {
	values map[string]string
	source Source
}

// Broker are this broker's values, dynamic ones included.
func (r *Resolver) Broker(dyn Dynamic) Values {
	var v Values
	for _, l := range r.layers(dyn) {
		if len(l.values) > 0 {
			v.layers = append(v.layers, l.values)
		}
	}
	return v
}

// Topic are the effective values of a topic. For many topics use Topics: it reads the broker's part once.
func (r *Resolver) Topic(dyn Dynamic, topic string) TopicValues { return r.Topics(dyn)(topic) }

// Topics returns the function that resolves topics under dyn.
func (r *Resolver) Topics(dyn Dynamic) func(topic string) TopicValues {
	base := topicDefaults(r.Broker(dyn))
	plain := topicValues(func(name string) string { return base[name] })
	return func(topic string) TopicValues {
		var overrides map[string]string
		if dyn != nil {
			overrides = dyn.Overrides(model.ResourceTopic, topic)
		}
		if len(overrides) == 0 {
			return plain
		}
		return topicValues(func(name string) string { return override(overrides, name, base[name]) })
	}
}

// override is a topic's own value of a key where it has a usable one.
func override(overrides map[string]string, name, otherwise string) string {
	value, ok := overrides[name]
	if !ok {
		return otherwise
	}
	if k, _ := Lookup(Topic, name); k == nil || typeReason(k.Type, value) != "" {
		return otherwise
	}
	return value
}

// topicDefaults is what a topic without values of its own gets from the broker, as text.
func topicDefaults(broker Values) map[string]string {
	keys := table().sorted[Topic]
	out := make(map[string]string, len(keys))
	for _, k := range keys {
		out[k.Name] = inherited(k, broker)
	}
	return out
}

// inherited is the value of a topic or group key that has none of its own.
func inherited(k *Key, broker Values) string {
	switch len(k.Synonyms) {
	case 0:
		return k.Default
	case 1:
		return broker.String(k.Synonyms[0])
	}
	ms := broker.firstMs(k.Synonyms)
	if ms < 0 {
		ms = -1
	}
	return strconv.FormatInt(ms, 10)
}

// DescribeTopic lists all topic keys with what counts for this topic.
func (r *Resolver) DescribeTopic(dyn Dynamic, topic string) []Entry {
	return r.describe(Topic, dyn, model.ResourceTopic, topic)
}

// DescribeGroup lists all group keys with what counts for this group.
func (r *Resolver) DescribeGroup(dyn Dynamic, group string) []Entry {
	return r.describe(Group, dyn, model.ResourceGroup, group)
}

func (r *Resolver) describe(scope Scope, dyn Dynamic, t model.ResourceType, name string) []Entry {
	var own map[string]string
	if dyn != nil {
		own = dyn.Overrides(t, name)
	}
	source := SourceTopic
	if scope == Group {
		source = SourceGroup
	}
	broker := r.Broker(dyn)
	layers := r.layers(dyn)
	entries := make([]Entry, 0, len(table().sorted[scope]))
	for _, k := range table().sorted[scope] {
		value, isOwn := own[k.Name]
		if k.Hidden && !isOwn {
			continue
		}
		e := Entry{Key: k, Value: inherited(k, broker), Source: SourceDefault}
		if isOwn {
			e.Value = k.Canonical(value)
			e.Synonyms = append(e.Synonyms, Synonym{Name: k.Name, Value: value, Source: source})
		}
		if len(k.Synonyms) > 0 {
			e.Synonyms = append(e.Synonyms, brokerSynonyms(k.Synonyms[0], k.Synonyms, layers)...)
		} else if scope == Group {
			e.Synonyms = append(e.Synonyms, Synonym{Name: k.Name, Value: k.Default, Source: SourceDefault})
		}
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	return entries
}

// DescribeBroker lists the values of this broker, or with an empty name those set as the default of all brokers.
func (r *Resolver) DescribeBroker(dyn Dynamic, name string) []Entry {
	if name == "" {
		return r.describeDefaults(dyn)
	}
	broker := r.Broker(dyn)
	layers := r.layers(dyn)
	entries := make([]Entry, 0, len(table().sorted[Broker]))
	for _, k := range table().sorted[Broker] {
		if k.Hidden && !broker.IsSet(k.Name) {
			continue
		}
		e := Entry{Key: k, Source: SourceDefault, Synonyms: brokerSynonyms(k.Name, k.Synonyms, layers)}
		e.Value, e.Null = broker.String(k.Name), k.Sensitive || k.Null && !broker.IsSet(k.Name)
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e.hidden())
	}
	return entries
}

func (r *Resolver) describeDefaults(dyn Dynamic) []Entry {
	if dyn == nil {
		return nil
	}
	all := dyn.Overrides(model.ResourceBroker, "")
	var entries []Entry
	for _, k := range table().sorted[Broker] {
		if value, ok := all[k.Name]; ok {
			e := Entry{Key: k, Value: k.Canonical(value), Source: SourceDynamicDefaultBroker, Null: k.Sensitive,
				Synonyms: []Synonym{{Name: k.Name, Value: value, Source: SourceDynamicDefaultBroker}}}
			entries = append(entries, e.hidden())
		}
	}
	return entries
}

// hidden takes values out that must not be shown.
func (e Entry) hidden() Entry {
	if e.Null {
		e.Value = ""
	}
	if e.Key.Sensitive {
		for i := range e.Synonyms {
			e.Synonyms[i].Value, e.Synonyms[i].Null = "", true
		}
	}
	return e
}

// brokerSynonyms lists where a value may come from, layer by layer and in each layer the synonyms in their order, the way Kafka does:
// what stands before the first entry of own is left out, so a topic's retention that comes from log.retention.hours alone shows no
// synonym at all.
func brokerSynonyms(own string, names []string, layers []layer) []Synonym {
	var out []Synonym
	for _, l := range layers {
		for _, name := range names {
			if value, ok := l.values[name]; ok {
				out = append(out, Synonym{Name: name, Value: value, Source: l.source})
			}
		}
	}
	for _, name := range names {
		if k, ok := Lookup(Broker, name); ok && !k.Null {
			out = append(out, Synonym{Name: name, Value: k.Default, Source: SourceDefault})
		}
	}
	first := slices.IndexFunc(out, func(s Synonym) bool { return s.Name == own })
	if first < 0 {
		return nil
	}
	return out[first:]
}
