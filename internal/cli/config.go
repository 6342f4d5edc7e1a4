package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	c := noun("config", "get, set, unset, describe, diff and lint configuration",
		a.configGet(), a.configSet(), a.configUnset(), a.configDescribe(), a.configDiff(), a.configLint())
	c.Long = "Configuration of a target: topic/NAME, broker/ID, broker (the default of all brokers) or group/NAME."
	c.Example = "  klamm config describe topic/orders\n  klamm config set topic/orders retention.ms=86400000\n  klamm config diff topic/a topic/b\n" +
		"  klamm config lint server.properties"
	return c
}

// entry is one configuration value with where it comes from.
type entry struct {
	Name      string         `json:"name"`
	Value     *string        `json:"value"` // null: not set, or sensitive
	Source    string         `json:"source"`
	Type      string         `json:"type"`
	ReadOnly  bool           `json:"read_only"`
	Sensitive bool           `json:"sensitive"`
	Doc       string         `json:"doc,omitempty"`
	Synonyms  []entrySynonym `json:"synonyms"`
}

type entrySynonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

func (e entry) text() string {
	switch {
	case e.Value != nil:
		return *e.Value
	case e.Sensitive:
		return "(hidden)"
	}
	return "(not set)"
}

// own says whether a value was set on the target itself, not inherited.
func (e entry) own() bool {
	return e.Source != kmsg.ConfigSourceDefaultConfig.String() && e.Source != kmsg.ConfigSourceStaticBrokerConfig.String()
}

// resource is a target in the protocol's terms.
type resource struct {
	target string
	kind   kmsg.ConfigResourceType
	name   string
}

const configResourceGroup = kmsg.ConfigResourceType(32)

// parseTarget reads topic/NAME, broker/ID, broker, group/NAME.
func parseTarget(s string) (resource, error) {
	kind, name, _ := strings.Cut(s, "/")
	r := resource{target: s, name: name}
	switch kind {
	case "topic":
		r.kind = kmsg.ConfigResourceTypeTopic
	case "broker":
		r.kind = kmsg.ConfigResourceTypeBroker
		return r, nil
	case "group":
		r.kind = configResourceGroup
	default:
		return r, usage("%s: expected topic/NAME, broker/ID, broker or group/NAME", s)
	}
	if name == "" {
		return r, usage("%s: a name is missing, as in %s/NAME", s, kind)
	}
	return r, nil
}

func (r resource) scope() config.Scope {
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		return config.Topic
	case configResourceGroup:
		return config.Group
	}
	return config.Broker
}

func resources(kind string, names ...string) []resource {
	out := make([]resource, 0, len(names))
	for _, n := range names {
		if r, err := parseTarget(kind + "/" + n); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// describeConfigs asks for all values of resources with synonyms and documentation, by target.
func describeConfigs(ctx context.Context, adm *connect.Cluster, list []resource) (map[string][]entry, error) {
	out := make(map[string][]entry, len(list))
	for _, r := range list {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		rr := kmsg.NewDescribeConfigsRequestResource()
		rr.ResourceType, rr.ResourceName = r.kind, r.name
		req.Resources = append(req.Resources, rr)
		// kmsg routes a broker's resource to that broker.
		resp, err := req.RequestWith(ctx, adm.Raw)
		if err != nil {
			return nil, err
		}
		for _, res := range resp.Resources {
			if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
				return nil, &fault{what: r.target, why: withMessage(err, deref(res.ErrorMessage))}
			}
			entries := make([]entry, 0, len(res.Configs))
			for _, c := range res.Configs {
				entries = append(entries, entryOf(c))
			}
			out[r.target] = entries
		}
	}
	return out, nil
}

func entryOf(c kmsg.DescribeConfigsResponseResourceConfig) entry {
	e := entry{Name: c.Name, Value: c.Value, Source: c.Source.String(), Type: strings.ToLower(c.ConfigType.String()), ReadOnly: c.ReadOnly, Sensitive: c.IsSensitive,
		Synonyms: []entrySynonym{}}
	if c.Documentation != nil {
		e.Doc = *c.Documentation
	}
	for _, s := range c.ConfigSynonyms {
		e.Synonyms = append(e.Synonyms, entrySynonym{s.Name, s.Value, s.Source.String()})
	}
	return e
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// change is what config set, config unset and topic alter ask for.
type change struct {
	target string
	set    []string // key=value
	unset  []string
	dryRun bool
}

// alterConfig sets and unsets keys of one target, all or nothing.
func (a *app) alterConfig(ctx context.Context, adm *connect.Cluster, ch change) error {
	r, err := parseTarget(ch.target)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = ch.dryRun
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = r.kind, r.name
	for _, s := range ch.set {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return usage("%s: expected key=value", s)
		}
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value, c.Op = k, &v, kmsg.IncrementalAlterConfigOpSet
		rr.Configs = append(rr.Configs, c)
	}
	for _, k := range ch.unset {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op = k, kmsg.IncrementalAlterConfigOpDelete
		rr.Configs = append(rr.Configs, c)
	}
	req.Resources = append(req.Resources, rr)
	resp, err := req.RequestWith(ctx, adm.Raw)
	if err != nil {
		return err
	}
	for _, res := range resp.Resources {
		if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
			return a.configFault(r, rr.Configs, withMessage(err, deref(res.ErrorMessage)))
		}
	}
	verb := "changed"
	if ch.dryRun {
		verb = "would change"
	}
	for _, c := range rr.Configs {
		if c.Op == kmsg.IncrementalAlterConfigOpDelete {
			a.printf("%s %s: %s is unset\n", verb, r.target, c.Name)
		} else {
			a.printf("%s %s: %s=%s\n", verb, r.target, c.Name, *c.Value)
		}
	}
	return nil
}

// configFault adds the nearest key where a key is unknown.
func (a *app) configFault(r resource, changes []kmsg.IncrementalAlterConfigsRequestResourceConfig, err error) error {
	f := &fault{what: r.target, why: err}
	if errors.Is(err, kerr.InvalidConfig) || errors.Is(err, kerr.InvalidRequest) {
		f.next = "see the keys and their values: klamm config describe " + r.target
	}
	for _, c := range changes {
		if _, ok := config.Lookup(r.scope(), c.Name); !ok {
			if near := config.Nearest(r.scope(), c.Name); near != "" && !strings.Contains(err.Error(), "did you mean") {
				f.next = "did you mean " + near + "?"
			}
		}
	}
	f.code = ExitError
	return f
}
