package history

import "slices"

// topicStory is what the acknowledged and the undecided admin ops say of a topic.
type topicStory struct {
	exists   bool // by the last acknowledged creation or deletion
	existsOp int
	unsure   bool // a creation or deletion may have happened, or may yet
	parts    int32
	partsOp  int
	configs  map[string]setting
	seen     *Op // the last describe
	lastOp   int // the last op that changed it
}

// setting is a config key: what it was last set to, and what it may have become since.
type setting struct {
	value string
	op    int
	maybe []string
}

// checkAdmin holds the last describe of each topic against the acknowledged admin ops (M1). Admin ops on one topic must not overlap, which the
// workload sees to. An undecided op may happen at any later time, so it leaves what it touches open.
func (c *checker) checkAdmin() {
	stories := map[string]*topicStory{}
	var names []string
	for i := range c.h {
		op := &c.h[i]
		if op.F != Admin || op.Change == nil {
			continue
		}
		s, ok := stories[op.Change.Topic]
		if !ok {
			s = &topicStory{existsOp: -1, partsOp: -1, configs: map[string]setting{}}
			stories[op.Change.Topic] = s
			names = append(names, op.Change.Topic)
		}
		if op.Type == Invoke {
			if _, at := c.outcome(i); at < 0 && op.Change.Verb != Describe {
				s.unsureOf(op)
			}
			continue
		}
		s.tell(op)
	}
	slices.Sort(names)
	for _, n := range names {
		c.checkTopic(n, stories[n])
	}
}

func (s *topicStory) tell(op *Op) {
	switch {
	case op.Type == Info && op.Change.Verb != Describe:
		s.unsureOf(op)
	case op.Type != OK:
	case op.Change.Verb == Describe:
		s.seen = op
	default:
		s.lastOp = op.Index
		s.apply(op)
	}
}

func (s *topicStory) apply(op *Op) {
	switch op.Change.Verb {
	case CreateTopic:
		s.exists, s.existsOp, s.parts, s.partsOp = true, op.Index, op.Change.Partitions, op.Index
		clear(s.configs)
	case DeleteTopic:
		s.exists, s.existsOp = false, op.Index
	case CreatePartitions:
		s.parts, s.partsOp = max(s.parts, op.Change.Partitions), op.Index
	case AlterConfig:
		s.configs[op.Change.Config] = setting{value: op.Change.Value, op: op.Index, maybe: s.configs[op.Change.Config].maybe}
	}
}

func (s *topicStory) unsureOf(op *Op) {
	s.lastOp = op.Index
	switch op.Change.Verb {
	case CreateTopic, DeleteTopic:
		s.unsure = true
	case AlterConfig:
		v := s.configs[op.Change.Config]
		v.maybe = append(v.maybe, op.Change.Value)
		s.configs[op.Change.Config] = v
	}
}

func (c *checker) checkTopic(name string, s *topicStory) {
	if s.seen == nil || s.unsure || s.existsOp < 0 || s.seen.Begun < s.lastOp {
		return
	}
	found := s.seen.Change
	switch {
	case s.exists && !found.Exists:
		c.report(AdminLost, Key{}, []int{s.existsOp, s.seen.Index}, "topic %s was created, and is not there", name)
		return
	case !s.exists && found.Exists:
		c.report(AdminUndone, Key{}, []int{s.existsOp, s.seen.Index}, "topic %s was deleted, and is there", name)
		return
	case !s.exists:
		return
	case found.Partitions < s.parts:
		c.report(AdminLost, Key{}, []int{s.partsOp, s.seen.Index}, "topic %s was given %d partitions, and has %d", name, s.parts, found.Partitions)
	}
	set, ok := s.configs[found.Config]
	if found.Config != "" && ok && set.op > 0 && found.Value != set.value && !slices.Contains(set.maybe, found.Value) {
		c.report(AdminLost, Key{}, []int{set.op, s.seen.Index}, "%s of topic %s was set to %q, and is %q", found.Config, name, set.value, found.Value)
	}
}
