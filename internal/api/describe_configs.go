package api

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// Sources of values that the config room does not know, by Kafka's numbers.
const (
	sourceLogger        int8 = 6
	sourceClientMetrics int8 = 7
)

// describeConfigs answers key 32: effective values of topics, this broker, its loggers, groups (KIP-848) and client metrics (KIP-714), with
// where each comes from (KIP-226), its type and what it is for (KIP-569).
func describeConfigs(a *API, r *Request, q *wire.DescribeConfigsRequest) (*wire.DescribeConfigsResponse, error) {
	resp := &wire.DescribeConfigsResponse{}
	for i := range q.Resources {
		res := &q.Resources[i]
		lines, bad := a.describeResource(r.Image, model.ResourceType(res.ResourceType), res.ResourceName)
		out := wire.DescribeConfigsResponseResource{ErrorCode: bad.Code, ErrorMessage: &bad.Message, ResourceType: res.ResourceType, ResourceName: res.ResourceName}
		for j := range lines {
			if len(res.ConfigurationKeys) == 0 || slices.Contains(res.ConfigurationKeys, lines[j].Name) {
				out.Configs = append(out.Configs, trimLine(lines[j], q))
			}
		}
		resp.Results = append(resp.Results, out)
	}
	return resp, nil
}

type configLine = wire.DescribeConfigsResponseResourceConfig

// trimLine leaves out what was not asked for.
func trimLine(line configLine, q *wire.DescribeConfigsRequest) configLine {
	if !q.IncludeSynonyms {
		line.Synonyms = nil
	}
	if !q.IncludeDocumentation {
		line.Documentation = nil
	}
	return line
}

func (a *API) describeResource(img *metadata.Image, kind model.ResourceType, name string) ([]configLine, controller.Outcome) {
	refuse := func(code model.ErrorCode, format string, args ...any) ([]configLine, controller.Outcome) {
		return nil, controller.Outcome{Code: code, Message: fmt.Sprintf(format, args...)}
	}
	switch kind {
	case model.ResourceTopic:
		if err := metadata.ValidateTopicName(name); err != nil {
			return refuse(model.InvalidTopicException, "%s", err)
		}
		if img.Topic(name) == nil {
			return refuse(model.UnknownTopicOrPartition, "")
		}
		return linesOf(a.Resolver.DescribeTopic(img, name)), controller.Outcome{}
	case model.ResourceBroker:
		if name == "" {
			return linesOf(a.Resolver.DescribeBroker(img, "")), controller.Outcome{}
		}
		switch id, err := strconv.ParseInt(name, 10, 32); {
		case err != nil:
			return refuse(model.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
		case model.BrokerID(id) != a.Me:
			return refuse(model.InvalidRequest, "Unexpected broker id, expected %d or empty string, but received %s", a.Me, name)
		}
		return linesOf(a.Resolver.DescribeBroker(img, name)), controller.Outcome{}
	case model.ResourceBrokerLogger:
		switch id, err := strconv.ParseInt(name, 10, 32); {
		case name == "":
			return refuse(model.InvalidRequest, "Broker id must not be empty")
		case err != nil:
			return refuse(model.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
		case model.BrokerID(id) != a.Me:
			return refuse(model.InvalidRequest, "Unexpected broker id, expected %d but received %s", a.Me, name)
		}
		return a.describeLoggers(), controller.Outcome{}
	case model.ResourceGroup:
		if name == "" {
			return refuse(model.InvalidRequest, "Group name must not be empty")
		}
		return linesOf(a.Resolver.DescribeGroup(img, name)), controller.Outcome{}
	case model.ResourceClientMetrics:
		if name == "" {
			return refuse(model.InvalidRequest, "Client metrics subscription name must not be empty")
		}
		return describeClientMetrics(img, name), controller.Outcome{}
	}
	return refuse(model.InvalidRequest, "This most likely occurs because of a request being malformed by the client library or the message was sent to an "+
		"incompatible broker. See the broker logs for more details.")
}

func linesOf(entries []config.Entry) []configLine {
	out := make([]configLine, len(entries))
	for i := range entries {
		e := &entries[i]
		line := configLine{
			Name: e.Key.Name, Value: shownValue(e), ReadOnly: e.ReadOnly(), IsDefault: e.Source == config.SourceDefault, ConfigSource: int8(e.Source),
			IsSensitive: e.Key.Sensitive, ConfigType: int8(e.Key.Type), Documentation: &e.Key.Doc,
		}
		for j := range e.Synonyms {
			s := &e.Synonyms[j]
			synonym := wire.DescribeConfigsResponseResourceConfigSynonym{Name: s.Name, Source: int8(s.Source)}
			if !s.Null {
				synonym.Value = &s.Value
			}
			line.Synonyms = append(line.Synonyms, synonym)
		}
		out[i] = line
	}
	return out
}

// describeClientMetrics lists the keys of a subscription. Clients do not push metrics here yet, but what is set is kept.
func describeClientMetrics(img *metadata.Image, name string) []configLine {
	overrides := img.Overrides(model.ResourceClientMetrics, name)
	var out []configLine
	for _, k := range []struct {
		name, value string
		kind        config.Type
		doc         string
	}{
		{"interval.ms", "300000", config.Int, "How often a client that matches pushes its metrics, in milliseconds."},
		{"match", "", config.List, "Which clients the subscription is for: pairs of a client attribute and a regular expression."},
		{"metrics", "", config.List, "Prefixes of the names of the metrics that clients push; * is all of them."},
	} {
		line := configLine{Name: k.name, Value: &k.value, IsDefault: true, ConfigSource: int8(config.SourceDefault), ConfigType: int8(k.kind), Documentation: &k.doc}
		if own, ok := overrides[k.name]; ok {
			line.Value, line.IsDefault, line.ConfigSource = &own, false, sourceClientMetrics
			line.Synonyms = []wire.DescribeConfigsResponseResourceConfigSynonym{{Name: k.name, Value: &own, Source: sourceClientMetrics}}
		}
		out = append(out, line)
	}
	return out
}
