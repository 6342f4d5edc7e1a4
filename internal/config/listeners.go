package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Listener is one entry of listeners or advertised.listeners.
type Listener struct {
	Name string // upper case, as Kafka compares them
	Host string // empty: all addresses
	Port int    // 0: any free one
}

// Address is the form net.Listen takes.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// ParseListener reads NAME://host:port; an address without a name is a PLAINTEXT one.
func ParseListener(s string) (Listener, error) {
	name, address, ok := strings.Cut(strings.TrimSpace(s), "://")
	if !ok {
		name, address = "PLAINTEXT", strings.TrimSpace(s)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is not NAME://host:port", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || name == "" {
		return Listener{}, fmt.Errorf("%q is not NAME://host:port", s)
	}
	return Listener{Name: strings.ToUpper(name), Host: host, Port: int(n)}, nil
}

func parseListeners(list []string) ([]Listener, error) {
	out := make([]Listener, 0, len(list))
	for _, s := range list {
		l, err := ParseListener(s)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o Listener) bool { return o.Name == l.Name }) {
			return nil, fmt.Errorf("Each listener must have a different name, but %s stands there twice", l.Name)
		}
		out = append(out, l)
	}
	return out, nil
}

// Listeners are where clients connect: the entries of listeners that are not the controller's.
func (v Values) Listeners() []Listener {
	return slices.DeleteFunc(v.allListeners("listeners"), v.isController)
}

// ControllerListeners are the entries of listeners for traffic between nodes.
func (v Values) ControllerListeners() []Listener {
	return slices.DeleteFunc(v.allListeners("listeners"), func(l Listener) bool { return !v.isController(l) })
}

// AdvertisedListeners are what clients are told to connect to; none means the address each of them dialled.
func (v Values) AdvertisedListeners() []Listener {
	return slices.DeleteFunc(v.allListeners("advertised.listeners"), v.isController)
}

func (v Values) allListeners(key string) []Listener {
	list, _ := parseListeners(v.List(key))
	return list
}

func (v Values) isController(l Listener) bool {
	return slices.ContainsFunc(v.List("controller.listener.names"), func(name string) bool { return strings.EqualFold(name, l.Name) })
}

// securityProtocol is what listener.security.protocol.map says about a name. A name that is itself a protocol needs no entry, and a
// controller's listener is PLAINTEXT without one, as in Kafka.
func (v Values) securityProtocol(name string) (string, bool) {
	for _, entry := range v.List("listener.security.protocol.map") {
		if n, protocol, ok := strings.Cut(entry, ":"); ok && strings.EqualFold(n, name) {
			return strings.ToUpper(protocol), true
		}
	}
	if v.isController(Listener{Name: name}) {
		return plaintext, true
	}
	return "", false
}

const plaintext = "PLAINTEXT"

// checkListeners refuses what this version cannot protect and what could not be reached.
func checkListeners(s *Static) error {
	listeners, err := parseListeners(s.List("listeners"))
	if err != nil {
		return &SourceError{Place: s.where("listeners"), Err: err}
	}
	names := make([]string, 0, len(listeners))
	for _, l := range listeners {
		names = append(names, l.Name)
		protocol, ok := s.securityProtocol(l.Name)
		if !ok {
			return &SourceError{Place: s.where("listeners"), Err: fmt.Errorf(
				"No security protocol defined for listener %s: add %s:PLAINTEXT to listener.security.protocol.map", l.Name, l.Name)}
		}
		if protocol != plaintext {
			return &SourceError{Place: s.where("listeners"), Err: &RefusedError{Name: "listener " + l.Name, Reason: fmt.Sprintf(
				"it asks for %s, which this version does not speak; serving it as PLAINTEXT would let everybody in. "+
					"Use PLAINTEXT on an address only trusted machines reach", protocol)}}
		}
	}
	if len(s.Listeners()) == 0 {
		return &SourceError{Place: s.where("listeners"), Err: fmt.Errorf("no listener for clients: all of them are named in controller.listener.names")}
	}
	return checkAdvertised(s, names)
}

func checkAdvertised(s *Static, names []string) error {
	const key = "advertised.listeners"
	advertised, err := parseListeners(s.List(key))
	if err != nil {
		return &SourceError{Place: s.where(key), Err: err}
	}
	for _, l := range advertised {
		switch {
		case !slices.Contains(names, l.Name):
			return &SourceError{Place: s.where(key), Err: fmt.Errorf("listener %s is advertised but not among listeners (%s)", l.Name, strings.Join(names, ", "))}
		case l.Host == "" || l.Host == "0.0.0.0" || l.Host == "::":
			return &SourceError{Place: s.where(key), Err: fmt.Errorf(
				"advertised.listeners cannot use the nonroutable meta-address %s: clients could not connect to it. "+
					"Name the host they dial, or leave the key out and each client is answered with the address it dialled", l.Address())}
		case l.Port == 0:
			return &SourceError{Place: s.where(key), Err: fmt.Errorf("advertised.listeners needs a port for %s", l.Name)}
		}
	}
	return nil
}

// checkRoles lets through the configuration of a KRaft node that is its own controller.
func checkRoles(s *Static) error {
	roles := s.List("process.roles")
	if !slices.Contains(roles, "broker") {
		return &SourceError{Place: s.where("process.roles"), Err: fmt.Errorf(
			"a node that is only a controller is not possible in this version; use process.roles=broker,controller or leave it out")}
	}
	voters := s.List("controller.quorum.voters")
	if len(voters) > 1 {
		return &SourceError{Place: s.where("controller.quorum.voters"), Err: fmt.Errorf(
			"%d voters are named, but clusters of several nodes are not possible in this version; name one or leave it out", len(voters))}
	}
	for _, voter := range voters {
		id, address, ok := strings.Cut(voter, "@")
		if !ok || !strings.Contains(address, ":") {
			return &SourceError{Place: s.where("controller.quorum.voters"), Err: fmt.Errorf("%q is not id@host:port", voter)}
		}
		if id != s.String("node.id") {
			return &SourceError{Place: s.where("controller.quorum.voters"), Err: fmt.Errorf(
				"the voter is node %s but this is node %s (node.id); clusters of several nodes are not possible in this version", id, s.String("node.id"))}
		}
	}
	if n := len(s.List("controller.quorum.bootstrap.servers")); n > 1 {
		return &SourceError{Place: s.where("controller.quorum.bootstrap.servers"), Err: fmt.Errorf(
			"%d controllers are named, but clusters of several nodes are not possible in this version; name one or leave it out", n)}
	}
	return nil
}

// checkRanges compares keys that only make sense together.
func checkRanges(s *Static) error {
	for _, pair := range [][2]string{
		{"group.min.session.timeout.ms", "group.max.session.timeout.ms"},
		{"group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
		{"group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
		{"log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"},
	} {
		if s.Int64(pair[0]) > s.Int64(pair[1]) {
			return &SourceError{Place: s.where(pair[0]), Err: fmt.Errorf("%s is %d, more than %s, which is %d", pair[0], s.Int64(pair[0]), pair[1], s.Int64(pair[1]))}
		}
	}
	return nil
}

// where is the place of a key, or its name when it was not set but is wrong beside another one.
func (s *Static) where(name string) string {
	if place := s.places[name]; place != "" {
		return place
	}
	return name
}
