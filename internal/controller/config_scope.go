package controller

import (
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// configScope knows the keys of one kind of resource and what counts where a key is not set.
type configScope struct {
	img      *metadata.Image
	resolver *config.Resolver
	kind     model.ResourceType
	name     string
}

// Bounds of a client metrics subscription's interval (KIP-714).
const (
	minMetricsInterval = 100
	maxMetricsInterval = 3_600_000
)

// scopeOf refuses resources that have no configuration.
func scopeOf(img *metadata.Image, resolver *config.Resolver, a *AlterConfig) (*configScope, Outcome) {
	bad := Outcome{}
	switch a.Type {
	case model.ResourceTopic:
		if a.Name == "" {
			bad = failure(model.InvalidRequest, "Default topic resources are not allowed.")
		} else if err := metadata.ValidateTopicName(a.Name); err != nil {
			bad = Outcome{model.InvalidTopicException, err.Error()}
		} else if img.Topic(a.Name) == nil {
			bad = failure(model.UnknownTopicOrPartition, "The topic '%s' does not exist.", a.Name)
		}
	case model.ResourceBroker:
		if id, err := strconv.ParseInt(a.Name, 10, 32); a.Name != "" && (err != nil || id < 0) {
			bad = failure(model.InvalidRequest, "Node id must be an integer, but it is: %s", a.Name)
		}
	case model.ResourceGroup:
		if a.Name == "" {
			bad = failure(model.InvalidRequest, "Default group resources are not allowed.")
		}
	case model.ResourceClientMetrics:
		if a.Name == "" {
			bad = failure(model.InvalidRequest, "Subscription name can't be empty")
		}
	default:
		bad = failure(model.InvalidRequest, "Unknown resource type %d", a.Type)
	}
	return &configScope{img, resolver, a.Type, a.Name}, bad
}

// isList reports that a key's value is a list.
func (c *configScope) isList(name string) bool {
	if c.kind == model.ResourceClientMetrics {
		return name == "match" || name == "metrics"
	}
	k, ok := config.Lookup(c.configKind(), name)
	return ok && k.Type == config.List
}

func (c *configScope) configKind() config.Scope {
	switch c.kind {
	case model.ResourceTopic:
		return config.Topic
	case model.ResourceGroup:
		return config.Group
	}
	return config.Broker
}

// inherited is what counts for a key that is not set here.
func (c *configScope) inherited(name string) string {
	var entries []config.Entry
	switch c.kind {
	case model.ResourceTopic:
		entries = c.resolver.DescribeTopic(withoutOverrides{c.img, c.kind, c.name}, c.name)
	case model.ResourceGroup:
		entries = c.resolver.DescribeGroup(withoutOverrides{c.img, c.kind, c.name}, c.name)
	case model.ResourceBroker:
		return c.resolver.Broker(withoutOverrides{c.img, c.kind, c.name}).String(name)
	}
	for i := range entries {
		if entries[i].Key.Name == name {
			return entries[i].Value
		}
	}
	return ""
}

// withoutOverrides is an image in which one resource has no values of its own.
type withoutOverrides struct {
	img  *metadata.Image
	kind model.ResourceType
	name string
}

// Overrides implements config.Dynamic.
func (w withoutOverrides) Overrides(t model.ResourceType, name string) map[string]string {
	if t == w.kind && name == w.name {
		return nil
	}
	return w.img.Overrides(t, name)
}

// check validates a resource's new values.
func (c *configScope) check(old, next map[string]string) Outcome {
	switch c.kind {
	case model.ResourceTopic:
		return checkTopicConfig(next)
	case model.ResourceBroker:
		return c.checkBroker(old, next)
	case model.ResourceGroup:
		return c.checkGroup(next)
	}
	return checkMetrics(next)
}

// checkBroker lets only keys through that may change while brokers run, and looks at those that do change.
func (c *configScope) checkBroker(old, next map[string]string) Outcome {
	var fixed, single []string
	for _, name := range sortedKeys(next) {
		if was, ok := old[name]; ok && was == next[name] {
			continue
		}
		k, ok := config.Lookup(config.Broker, name)
		switch {
		case !ok:
			return Outcome{model.InvalidRequest, config.CheckDynamic(name, c.name == "").Error()}
		case k.Update == config.ReadOnly:
			fixed = append(fixed, name)
		case k.Update == config.PerBroker && c.name == "":
			single = append(single, name)
		}
	}
	if len(fixed) > 0 {
		return failure(model.InvalidRequest, "Cannot update these configs dynamically: [%s]", strings.Join(fixed, ", "))
	}
	if len(single) > 0 {
		return failure(model.InvalidRequest, "Cannot update these configs at default cluster level, broker id must be specified: [%s]", strings.Join(single, ", "))
	}
	for _, name := range sortedKeys(next) {
		if err := config.Validate(config.Broker, name, next[name]); err != nil {
			return Outcome{model.InvalidRequest, err.Error()}
		}
	}
	return Outcome{}
}

// checkGroup validates a group's values, and those that the broker bounds against its bounds (KIP-848, KIP-932, KIP-1071).
func (c *configScope) checkGroup(next map[string]string) Outcome {
	broker := c.resolver.Broker(c.img)
	for _, name := range sortedKeys(next) {
		if err := config.Validate(config.Group, name, next[name]); err != nil {
			return Outcome{model.InvalidConfig, err.Error()}
		}
		kind, rest, _ := strings.Cut(name, ".")
		if !slices.Contains([]string{"session.timeout.ms", "heartbeat.interval.ms", "record.lock.duration.ms"}, rest) {
			continue
		}
		value, err := strconv.ParseInt(strings.TrimSpace(next[name]), 10, 64)
		if err != nil {
			continue // not reached: it was validated
		}
		low, high := "group."+kind+".min."+rest, "group."+kind+".max."+rest
		if _, ok := config.Lookup(config.Broker, low); ok && value < broker.Int64(low) {
			return failure(model.InvalidConfig, "%s must be greater than or equal to %s", name, low)
		}
		if _, ok := config.Lookup(config.Broker, high); ok && value > broker.Int64(high) {
			return failure(model.InvalidConfig, "%s must be less than or equal to %s", name, high)
		}
	}
	return Outcome{}
}

// checkMetrics validates a client metrics subscription (KIP-714).
func checkMetrics(next map[string]string) Outcome {
	for _, name := range sortedKeys(next) {
		value := next[name]
		switch name {
		case "interval.ms":
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
			if err != nil {
				return failure(model.InvalidConfig, "Invalid value %s for configuration %s: Not a number of type INT", value, name)
			}
			if n < minMetricsInterval || n > maxMetricsInterval {
				return failure(model.InvalidRequest, "Invalid value %s for %s, interval must be between %d and %d (1 hour)", value, name, minMetricsInterval, maxMetricsInterval)
			}
		case "match", "metrics":
		default:
			return failure(model.InvalidRequest, "Unknown client metrics configuration: %s", name)
		}
	}
	return Outcome{}
}
