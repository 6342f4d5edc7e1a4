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
		var k wire.OffsetCommitKey
		if err := decodeVersioned(key, 1, &k); err != nil {
			return fmt.Errorf("offset key: %w", err)
		}
		return s.replayOffset(&k, value)
	case metadataKey:
		var k wire.GroupMetadataKey
		if err := decodeVersioned(key, metadataKey, &k); err != nil {
			return fmt.Errorf("group key: %w", err)
		}
		return s.replayGroup(k.Group, value)
	}
	return nil
}

// decodeVersioned reads a message behind its version. A version newer than newest is refused: its fields could mean anything.
func decodeVersioned(b []byte, newest int16, m wire.Body) error {
	version, body, err := wire.SplitVersion(b)
	if err != nil {
		return err
	}
	if version < 0 || version > newest {
		return fmt.Errorf("version %d is not known", version)
	}
	return m.Decode(wire.NewDecoder(body, wire.TrustedLimits()), version)
}

func (s *state) replayOffset(k *wire.OffsetCommitKey, value []byte) error {
	if value == nil {
		if g := s.find(k.Group); g != nil {
			g.unset(k.Topic, k.Partition)
		}
		return nil
	}
	var v wire.OffsetCommitValue
	if err := decodeVersioned(value, 4, &v); err != nil {
		return fmt.Errorf("offset of group %q in %s-%d: %w", k.Group, k.Topic, k.Partition, err)
	}
	// A group that only keeps offsets here has no record of its own: the first offset makes it.
	s.open(k.Group).set(k.Topic, k.Partition, committed{
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
	if err := decodeVersioned(bytes.Clone(value), 4, &v); err != nil { // members keep parts of it
		return fmt.Errorf("group %q: %w", id, err)
	}
	g := s.open(id)
	g.recorded, g.saved = true, nil
	if slices.ContainsFunc(v.Members, func(m wire.GroupMetadataValueMember) bool { return m.GroupInstanceID != nil }) {
		g.saved = &v
	}
	if !s.serving || g.awaits(&v) {
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
	for i := range v.Members {
		vm := &v.Members[i]
		m := known[vm.MemberID]
		if m == nil {
			m = memberFrom(vm, v.Protocol)
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

func memberFrom(v *wire.GroupMetadataValueMember, protocol *string) *member {
	m := &member{
		id: v.MemberID, instance: v.GroupInstanceID, client: Client{ID: v.ClientID, Host: v.ClientHost},
		rebalanceTimeout: time.Duration(v.RebalanceTimeout) * time.Millisecond, sessionTimeout: time.Duration(v.SessionTimeout) * time.Millisecond,
	}
	if m.rebalanceTimeout == 0 {
		m.rebalanceTimeout = m.sessionTimeout
	}
	if protocol != nil {
		m.protocols = []wire.JoinGroupRequestProtocol{{Name: *protocol, Metadata: v.Subscription}}
	}
	return m
}
