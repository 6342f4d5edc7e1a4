package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/config"
)

func configsCommand() command {
	return command{
		about: "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group",
		options: []option{
			opt("add-config", "k1=v1,k2=[v1,v2]", "Keys to set; brackets hold values with commas."),
			opt("add-config-file", "file", "Property file with keys to set."),
			sw("all", "Show all keys, not only those that are set dynamically."),
			sw("alter", "Change configuration."),
			opt("bootstrap-controller", "controller to connect to", "Controllers to connect to."),
			opt("bootstrap-server", connectTo, "Brokers to begin with, host:port,..."),
			opt("broker", "id", "A broker."),
			sw("broker-defaults", "The defaults of all brokers."),
			opt("broker-logger", "id", "A broker's loggers."),
			opt("client", "client-id", "A client."),
			sw("client-defaults", "The defaults of all clients."),
			opt("client-metrics", "name", "A subscription of client metrics."),
			opt("command-config", "command config property file", "Property file with settings of the client."),
			opt("delete-config", "k1,k2", "Keys to take back."),
			sw("describe", "Show configuration."),
			sw("entity-default", "The defaults of all entities of the type."),
			opt("entity-name", "name", "The entity."),
			opt("entity-type", "type", "topics, brokers, groups, users, clients, ips, client-metrics or broker-loggers."),
			opt("group", "group", "A group."),
			opt("ip", "ip", "An IP address."),
			sw("ip-defaults", "The defaults of all IP addresses."),
			opt("topic", "topic", "A topic."),
			opt("user", "user", "A user."),
			sw("user-defaults", "The defaults of all users."),
		},
		run: configs,
	}
}

// entity is what the tool was asked about.
type entity struct {
	kind string  // topics, brokers, ...
	name *string // nil: not given; empty: the default of all
}

func (e entity) resource() kmsg.ConfigResourceType {
	switch e.kind {
	case "topics":
		return kmsg.ConfigResourceTypeTopic
	case "brokers":
		return kmsg.ConfigResourceTypeBroker
	case "broker-loggers":
		return kmsg.ConfigResourceTypeBrokerLogger
	case "groups":
		return kmsg.ConfigResourceType(32)
	case "client-metrics":
		return kmsg.ConfigResourceType(16)
	}
	return kmsg.ConfigResourceTypeUnknown
}

func (e entity) singular() string {
	if e.kind == "client-metrics" {
		return e.kind
	}
	return strings.TrimSuffix(e.kind, "s")
}

func configs(ctx context.Context, t *tool) error {
	e, err := configEntity(t.opt)
	if err != nil {
		return err
	}
	c, err := t.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	if t.opt.has("alter") {
		err = t.alterConfigs(ctx, c, e)
	} else {
		err = t.describeEntities(ctx, c, e)
	}
	var u *usageError
	if err == nil || errors.As(err, &u) || errors.Is(err, errSaid) {
		return err
	}
	class, message := exception(err)
	t.errorf("Error while executing config command with args '%s'\njava.util.concurrent.ExecutionException: %s: %s\nCaused by: %s: %s\n", t.argLine(), class, message, class, message)
	return errSaid
}

// argLine is the command line again, as the tool's error quotes it.
func (t *tool) argLine() string {
	var out []string
	taken := map[string]int{}
	for _, name := range t.opt.order {
		out = append(out, "--"+name)
		if v := t.opt.given[name]; t.opt.known[name].arg != "" && taken[name] < len(v) {
			out = append(out, v[taken[name]])
			taken[name]++
		}
	}
	return strings.Join(out, " ")
}

// configEntity checks the flags and finds the entity, in the order and words of Kafka's tool.
func configEntity(o *options) (entity, error) {
	if o.count("alter", "describe") != 1 {
		return entity{}, wrong("Command must include exactly one action: --describe, --alter")
	}
	if o.count("bootstrap-server", "bootstrap-controller") == 0 {
		return entity{}, bare("Either --bootstrap-server or --bootstrap-controller must be specified.")
	}
	if o.has("bootstrap-controller") {
		return entity{}, bare("--bootstrap-controller cannot be used here: clients reach the controller through any broker, use --bootstrap-server.")
	}
	e := entity{kind: o.value("entity-type")}
	for flag, kind := range map[string]string{
		"topic": "topics", "broker": "brokers", "broker-logger": "broker-loggers", "client": "clients", "user": "users", "ip": "ips", "group": "groups", "client-metrics": "client-metrics",
	} {
		if o.has(flag) {
			e = entity{kind, new(o.value(flag))}
		}
	}
	for flag, kind := range map[string]string{"broker-defaults": "brokers", "client-defaults": "clients", "user-defaults": "users", "ip-defaults": "ips"} {
		if o.has(flag) {
			e = entity{kind, new("")}
		}
	}
	if o.has("entity-name") {
		e.name = new(o.value("entity-name"))
	}
	if o.has("entity-default") {
		e.name = new("")
	}
	kinds := []string{"topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"}
	switch {
	case e.kind == "":
		return e, bare("At least one entity type must be specified")
	case !slices.Contains(kinds, e.kind):
		return e, bare("Invalid entity type %s, the entity type must be one of %s with a --bootstrap-server or --bootstrap-controller argument", e.kind, strings.Join(kinds, ", "))
	}
	if e.name != nil && *e.name != "" && (e.kind == "brokers" || e.kind == "broker-loggers") {
		if _, err := strconv.ParseInt(*e.name, 10, 32); err != nil {
			return e, bare("The entity name for %s must be a valid integer broker id, but it is: %s", e.kind, *e.name)
		}
	}
	if !o.has("alter") {
		return e, nil
	}
	switch {
	case e.name == nil:
		return e, bare("An entity name must be specified with --alter of %s", e.kind)
	case o.has("add-config") && o.has("add-config-file"):
		return e, bare("Only one of --add-config or --add-config-file must be specified.")
	case o.count("add-config", "add-config-file", "delete-config") == 0:
		return e, bare("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
	}
	return e, nil
}

func (t *tool) alterConfigs(ctx context.Context, c *connect.Cluster, e entity) error {
	if e.resource() == kmsg.ConfigResourceTypeUnknown {
		return bare("Configuration of %s (quotas and credentials) is not possible in this version.", e.kind)
	}
	set, err := t.addedConfigs()
	if err != nil {
		return err
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = e.resource(), *e.name
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		cfg.Name, cfg.Value, cfg.Op = name, new(set[name]), kmsg.IncrementalAlterConfigOpSet
		r.Configs = append(r.Configs, cfg)
	}
	for _, list := range t.opt.values("delete-config") {
		for name := range strings.SplitSeq(list, ",") {
			cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			cfg.Name, cfg.Op = strings.TrimSpace(name), kmsg.IncrementalAlterConfigOpDelete
			r.Configs = append(r.Configs, cfg)
		}
	}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, c.Raw)
	if err != nil {
		return err
	}
	for _, res := range resp.Resources {
		if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
			return withMessage(err, text(res.ErrorMessage))
		}
	}
	if *e.name != "" {
		t.printf("Completed updating config for %s %s.\n", e.singular(), *e.name)
	} else {
		t.printf("Completed updating default config for %s in the cluster.\n", e.kind)
	}
	return nil
}

func (t *tool) addedConfigs() (map[string]string, error) {
	set := map[string]string{}
	if t.opt.has("add-config-file") {
		file, err := os.ReadFile(t.opt.value("add-config-file"))
		if err != nil {
			return nil, err
		}
		if set, err = config.ReadProperties(string(file)); err != nil {
			return nil, err
		}
	}
	for _, list := range t.opt.values("add-config") {
		for _, kv := range splitConfigs(list) {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				return nil, bare("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.")
			}
			set[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), "[]")
		}
	}
	return set, nil
}

// splitConfigs cuts at commas outside of brackets.
func splitConfigs(s string) []string {
	var out []string
	depth, begin := 0, 0
	for i, r := range s {
		switch {
		case r == '[':
			depth++
		case r == ']' && depth > 0:
			depth--
		case r == ',' && depth == 0:
			out = append(out, s[begin:i])
			begin = i + 1
		}
	}
	out = append(out, s[begin:])
	return slices.DeleteFunc(out, func(kv string) bool { return strings.TrimSpace(kv) == "" })
}

// describeConfigs asks for the configuration of resources, by name.
func describeConfigs(ctx context.Context, c *connect.Cluster, kind kmsg.ConfigResourceType, names []string) (map[string][]kmsg.DescribeConfigsResponseResourceConfig, error) {
	out := map[string][]kmsg.DescribeConfigsResponseResourceConfig{}
	if len(names) == 0 {
		return out, nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	for _, n := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, n
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, c.Raw)
	if err != nil {
		return nil, err
	}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, withMessage(err, text(r.ErrorMessage))
		}
		out[r.ResourceName] = r.Configs
	}
	return out, nil
}

// describeEntities prints one entity, or all of a type.
func (t *tool) describeEntities(ctx context.Context, c *connect.Cluster, e entity) error {
	if e.resource() == kmsg.ConfigResourceTypeUnknown {
		return nil // quotas and credentials: there are none
	}
	names, err := t.entities(ctx, c, e)
	if err != nil {
		return err
	}
	if e.name != nil && *e.name != "" && !slices.Contains(names, *e.name) {
		return t.describeMissing(ctx, c, e)
	}
	if e.name != nil {
		names = []string{*e.name}
	}
	for _, n := range names {
		if err := t.describeEntity(ctx, c, e, n); err != nil {
			return err
		}
	}
	return nil
}

// entities lists what there is of a type, in the order Java's sets have.
func (t *tool) entities(ctx context.Context, c *connect.Cluster, e entity) ([]string, error) {
	switch e.kind {
	case "topics":
		topics, err := c.ListTopicsWithInternal(ctx)
		return hashOrder(slices.Sorted(slices.Values(topics.Names())), 0), err
	case "brokers", "broker-loggers":
		brokers, err := c.ListBrokers(ctx)
		var out []string
		for _, b := range brokers {
			out = append(out, strconv.Itoa(int(b.NodeID)))
		}
		if e.kind == "brokers" {
			out = append(out, "")
		}
		return out, err
	case "groups":
		groups, err := c.ListGroups(ctx)
		if err != nil {
			return nil, err
		}
		return hashOrder(groups.Groups(), 0), nil
	}
	return nil, nil
}

// describeMissing: a group may have configuration before it has members; anything else that is not there is said to be so.
func (t *tool) describeMissing(ctx context.Context, c *connect.Cluster, e entity) error {
	if e.kind == "groups" {
		all, err := describeConfigs(ctx, c, e.resource(), []string{*e.name})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all[*e.name], e.dynamic) {
			return t.describeEntity(ctx, c, e, *e.name)
		}
	}
	t.printf("The %s '%s' doesn't exist and doesn't have dynamic config.\n", e.singular(), *e.name)
	return nil
}

// dynamic: set at runtime for this very entity.
func (e entity) dynamic(c kmsg.DescribeConfigsResponseResourceConfig) bool {
	switch e.kind {
	case "topics":
		return c.Source == kmsg.ConfigSourceDynamicTopicConfig
	case "groups":
		return c.Source == 8
	case "client-metrics":
		return c.Source == 7
	case "broker-loggers":
		return true
	}
	if e.name != nil && *e.name == "" {
		return c.Source == kmsg.ConfigSourceDynamicDefaultBrokerConfig
	}
	return c.Source == kmsg.ConfigSourceDynamicBrokerConfig
}

func (t *tool) describeEntity(ctx context.Context, c *connect.Cluster, e entity, name string) error {
	all, err := describeConfigs(ctx, c, e.resource(), []string{name})
	if err != nil {
		return err
	}
	e.name = &name
	which := "Dynamic"
	if t.opt.has("all") {
		which = "All"
	}
	if name == "" {
		t.printf("Default configs for %s in the cluster are:\n", e.kind)
	} else {
		t.printf("%s configs for %s %s are:\n", which, e.singular(), name)
	}
	entries := all[name]
	slices.SortFunc(entries, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return strings.Compare(a.Name, b.Name) })
	for _, entry := range entries {
		if !t.opt.has("all") && !e.dynamic(entry) {
			continue
		}
		var synonyms []string
		for _, s := range entry.ConfigSynonyms {
			synonyms = append(synonyms, fmt.Sprintf("%s:%s=%s", sourceName(s.Source), s.Name, orNull(s.Value)))
		}
		t.printf("  %s=%s sensitive=%t synonyms={%s}\n", entry.Name, orNull(entry.Value), entry.IsSensitive, strings.Join(synonyms, ", "))
	}
	return nil
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// sourceName is Kafka's name of a source; the client library lacks the newer ones.
func sourceName(s kmsg.ConfigSource) string { return config.Source(s).String() }
