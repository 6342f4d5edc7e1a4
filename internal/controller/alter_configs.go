package controller

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// IncrementalAlterConfigs changes single keys (KIP-339). Each resource succeeds or fails on its own, with all its keys.
func (c *Controller) IncrementalAlterConfigs(ctx context.Context, resources []AlterConfig, validateOnly bool) ([]ConfigOutcome, error) {
	return c.alterConfigs(ctx, resources, validateOnly, changedConfig)
}

// AlterConfigs replaces all dynamic values of each resource by the given ones.
func (c *Controller) AlterConfigs(ctx context.Context, resources []AlterConfig, validateOnly bool) ([]ConfigOutcome, error) {
	return c.alterConfigs(ctx, resources, validateOnly, replacedConfig)
}

// configMaker makes a resource's new values from its old ones.
type configMaker func(c *configScope, old map[string]string, a *AlterConfig) (map[string]string, Outcome)

func (c *Controller) alterConfigs(ctx context.Context, resources []AlterConfig, validateOnly bool, make configMaker) ([]ConfigOutcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, []ConfigOutcome) {
		records, reply := alterConfigs(img, c.o.Resolver, resources, make)
		if validateOnly {
			records = nil
		}
		return records, reply
	})
}

func alterConfigs(img *metadata.Image, resolver *config.Resolver, resources []AlterConfig, make configMaker) ([]metadata.Record, []ConfigOutcome) {
	count := map[metadata.ConfigResource]int{}
	for i := range resources {
		count[metadata.ConfigResource{Type: resources[i].Type, Name: resources[i].Name}]++
	}
	var records []metadata.Record
	reply := []ConfigOutcome{}
	for i := range resources {
		a := &resources[i]
		out := ConfigOutcome{Type: a.Type, Name: a.Name}
		if count[metadata.ConfigResource{Type: a.Type, Name: a.Name}] > 1 {
			out.Outcome = failure(model.InvalidRequest, "Each resource must appear at most once.")
		} else {
			var made []metadata.Record
			made, out.Outcome = alterConfig(img, resolver, a, make)
			records = append(records, made...)
		}
		reply = append(reply, out)
	}
	return records, reply
}

func alterConfig(img *metadata.Image, resolver *config.Resolver, a *AlterConfig, make configMaker) ([]metadata.Record, Outcome) {
	if bad := checkOps(a); !bad.OK() {
		return nil, bad
	}
	scope, bad := scopeOf(img, resolver, a)
	if !bad.OK() {
		return nil, bad
	}
	old := img.Overrides(a.Type, a.Name)
	next, bad := make(scope, old, a)
	if bad.OK() {
		bad = scope.check(old, next)
	}
	if !bad.OK() {
		return nil, bad
	}
	return configDiff(a, old, next), Outcome{}
}

// checkOps refuses what is wrong with a change whatever it is for.
func checkOps(a *AlterConfig) Outcome {
	seen := map[string]bool{}
	var null []string
	for _, op := range a.Ops {
		if seen[op.Name] {
			return failure(model.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[op.Name] = true
		if op.Op < OpSet || op.Op > OpSubtract {
			return failure(model.InvalidRequest, "Unknown operation type %d", op.Op)
		}
		if op.Value == nil && op.Op != OpDelete {
			null = append(null, op.Name)
		}
	}
	if len(null) > 0 {
		return failure(model.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ","))
	}
	return Outcome{}
}

// replacedConfig takes the given values and nothing of the old ones.
func replacedConfig(_ *configScope, _ map[string]string, a *AlterConfig) (map[string]string, Outcome) {
	next := map[string]string{}
	for _, op := range a.Ops {
		next[op.Name] = *op.Value
	}
	return next, Outcome{}
}

// changedConfig applies the operations to the old values.
func changedConfig(c *configScope, old map[string]string, a *AlterConfig) (map[string]string, Outcome) {
	next := maps.Clone(old)
	if next == nil {
		next = map[string]string{}
	}
	for _, op := range a.Ops {
		switch op.Op {
		case OpSet:
			next[op.Name] = *op.Value
		case OpDelete:
			delete(next, op.Name)
		default:
			value, bad := c.changeList(next, &op)
			if !bad.OK() {
				return nil, bad
			}
			next[op.Name] = value
		}
	}
	return next, Outcome{}
}

// changeList adds to or takes from a list, which begins as what counts without a value of its own.
func (c *configScope) changeList(values map[string]string, op *ConfigChange) (string, Outcome) {
	verb := "APPEND"
	if op.Op == OpSubtract {
		verb = "SUBTRACT"
	}
	if !c.isList(op.Name) {
		return "", failure(model.InvalidConfig, "Can't %s to key %s because its type is not LIST.", verb, op.Name)
	}
	value, own := values[op.Name]
	if !own {
		value = c.inherited(op.Name)
	}
	have, items := splitList(value), splitList(*op.Value)
	if op.Op == OpAppend {
		for _, item := range items {
			if !slices.Contains(have, item) {
				have = append(have, item)
			}
		}
	} else {
		have = slices.DeleteFunc(have, func(item string) bool { return slices.Contains(items, item) })
	}
	return strings.Join(have, ","), Outcome{}
}

func splitList(s string) []string {
	var out []string
	for _, item := range strings.Split(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// configDiff is what turns old into next, by key.
func configDiff(a *AlterConfig, old, next map[string]string) []metadata.Record {
	var records []metadata.Record
	put := func(name string, value *string) {
		records = append(records, &metadata.ConfigRecord{ResourceType: int8(a.Type), ResourceName: a.Name, Name: name, Value: value})
	}
	for _, name := range sortedKeys(old) {
		if _, ok := next[name]; !ok {
			put(name, nil)
		}
	}
	for _, name := range sortedKeys(next) {
		if was, ok := old[name]; !ok || was != next[name] {
			value := next[name]
			put(name, &value)
		}
	}
	return records
}
