package group

import "github.com/klamm/klamm/internal/wire"

// maxSubscription is the newest version of the consumer protocol's subscription. A newer one still begins with its fields.
const maxSubscription = 3

// learnTopics notes what the members subscribe to. Only consumers say it in a form that is known here; when one of them cannot be read,
// the group is taken to subscribe to everything.
func (g *group) learnTopics() {
	g.topics.known, g.topics.names = false, nil
	if len(g.order) == 0 {
		g.topics.known = g.protocolType != nil && *g.protocolType == consumerType
		return
	}
	if g.protocolType == nil || *g.protocolType != consumerType || g.protocol == nil {
		return
	}
	names := map[string]struct{}{}
	for _, m := range g.order {
		topics, err := subscribedTopics(m.metadata(*g.protocol))
		if err != nil {
			return
		}
		for _, t := range topics {
			names[t] = struct{}{}
		}
	}
	g.topics.known, g.topics.names = true, names
}

func subscribedTopics(metadata []byte) ([]string, error) {
	version, body, err := wire.SplitVersion(metadata)
	if err != nil {
		return nil, err
	}
	var sub wire.ConsumerProtocolSubscription
	if err := sub.Decode(wire.NewDecoder(body, wire.DefaultLimits()), max(0, min(version, maxSubscription))); err != nil {
		return nil, err
	}
	return sub.Topics, nil
}

// subscribes reports whether offsets of a topic are in use by members.
func (g *group) subscribes(topic string) bool {
	if !g.topics.known {
		return g.protocolType != nil && *g.protocolType == consumerType
	}
	_, ok := g.topics.names[topic]
	return ok
}
