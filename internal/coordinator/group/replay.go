package group

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// Replay implements coordinator.Machine. Records of types that are not served (KIP-848, 932, 1071 groups, written by another broker on
// the same data) are left alone.
func (s *state) Replay(key, value []byte) error {
	switch keyType(key) {
	case -1:
		return fmt.Errorf("key of %d bytes has no type", len(key))
	case oldCommitKey, commitKey:
		return s.replayOffset(key, value)
	case metadataKey:
		var k wire.GroupMetadataKey
		if err := s.decode(key, metadataKey, &k); err != nil {
			return fmt.Errorf("group key: %w", err)
		}
		return s.replayGroup(k.Group, value)
	}
	return nil
}

// decode reads a message behind its version. A version newer than newest is refused: its fields could mean anything.
func (s *state) decode(b []byte, newest int16, m wire.Body) error {
	version, body, err := wire.SplitVersion(b)
	if err != nil {
		return err
	}
	if version < 0 || version > newest {
		return fmt.Errorf("version %d is not known", version)
	}
	s.decoder.Reset(body, wire.TrustedLimits())
	return m.Decode(&s.decoder, version)
}

func (s *state) replayOffset(key, value []byte) error {
	group, topic, partition, ok := splitOffsetKey(key)
	if !ok {
		return fmt.Errorf("offset key %x is cut off", key)
	}
	g := s.groups[string(group)]
	if value == nil {
		if g != nil {
			g.unset(topic, partition)
		}
		return nil
	}
	v := &s.value
	if err := s.decode(value, 4, v); err != nil {
		return fmt.Errorf("offset of group %q in %s-%d: %w", group, topic, partition, err)
	}
	if g == nil {
		// A group that only keeps offsets here has no record of its own: the first offset makes it.
		g = s.open(string(group))
	}
	g.set(topic, partition, committed{
		offset: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata, committedMs: v.CommitTimestamp, expireMs: v.ExpireTimestamp, topicID: v.TopicID,
	})
	return nil
}

func (s *state) replayGroup(id string, value []byte) error {
	if value == nil {
		s.replayTombstone(id)
		return nil
	}
	var v wire.GroupMetadataValue
	if err := s.decode(bytes.Clone(value), 4, &v); err != nil { // members keep parts of it
		return fmt.Errorf("group %q: %w", id, err)
	}
	g := s.open(id)
	g.recorded, g.saved = true, nil
	if slices.ContainsFunc(v.Members, func(m wire.GroupMetadataValueMember) bool { return m.GroupInstanceID != nil }) {
		g.saved = &v
	}
	switch {
	case !s.serving:
		g.members = map[string]*member{} // each record of a load is the whole truth
		g.replay(&v)
	case g.awaits(&v):
		g.replay(&v)
	}
	return nil
}

// awaits reports whether a record that was just appended is about the group's present generation. The other kind renews an earlier
// generation with a new id for a static member, for the sake of the next load: see claim.
func (g *group) awaits(v *wire.GroupMetadataValue) bool {
	return len(v.Members) == 0 || v.Generation == g.generation && (g.phase == completing || g.phase == stable)
}

// replayTombstone ends a group. Offsets that are still there belong to a simple group from then on.
func (s *state) replayTombstone(id string) {
	g := s.find(id)
	if g == nil {
		return
	}
	s.remove(g)
	if len(g.offsets) > 0 {
		s.open(id).offsets = g.offsets
	}
}

// replay makes the group what the record says: a generation with assignments, or an empty group. Members that are here already keep what
// no record holds: their other protocols, what they wait for, when their session ends.
func (g *group) replay(v *wire.GroupMetadataValue) {
	known, leader := g.members, ""
	g.members, g.order, g.instances = make(map[string]*member, len(v.Members)), nil, map[string]*member{}
	g.generation = v.Generation
	g.protocolType, g.protocol = nil, v.Protocol
	if v.ProtocolType != "" {
		g.protocolType = &v.ProtocolType
	}
	if v.Leader != nil {
		leader = *v.Leader
	}
	if v.Protocol == nil && len(v.Members) > 0 {
		g.protocol = new(string) // no broker writes that; what follows relies on a name all the same
	}
	for i := range v.Members {
		vm := &v.Members[i]
		if g.members[vm.MemberID] != nil {
			continue
		}
		m := known[vm.MemberID]
		if m == nil {
			m = memberFrom(vm, *g.protocol)
		}
		delete(known, vm.MemberID)
		m.assignment = vm.Assignment
		g.add(m)
	}
	for _, gone := range known {
		gone.session.off()
		if gone.join != nil {
			g.awaiting--
		}
	}
	if _, ok := g.members[leader]; ok {
		g.leader = leader
	}
	since := time.Time{} // records of old brokers do not say it
	if v.CurrentStateTimestamp >= 0 {
		since = time.UnixMilli(v.CurrentStateTimestamp)
	}
	if len(g.members) == 0 {
		g.leader = ""
		g.become(empty, since)
	} else {
		g.become(stable, since)
	}
	g.learnTopics()
}

func memberFrom(v *wire.GroupMetadataValueMember, protocol string) *member {
	m := &member{
		id: v.MemberID, instance: v.GroupInstanceID, client: Client{ID: v.ClientID, Host: v.ClientHost},
		rebalanceTimeout: time.Duration(v.RebalanceTimeout) * time.Millisecond, sessionTimeout: time.Duration(v.SessionTimeout) * time.Millisecond,
		protocols: []wire.JoinGroupRequestProtocol{{Name: protocol, Metadata: v.Subscription}},
	}
	if m.rebalanceTimeout == 0 {
		m.rebalanceTimeout = m.sessionTimeout
	}
	return m
}
