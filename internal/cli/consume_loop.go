package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/connect"
)

// consumption is one run of consume: what is printed, and what is still to come before it may end.
type consumption struct {
	app   *app
	show  printer
	count int    // records to print; 0 for no limit
	exit  bool   // stop at the ends
	group string // the group read in, if any
	atEnd bool   // where the group begins in partitions it has no offset for

	mu struct {
		sync.Mutex
		got     bool                       // partitions are known
		pending map[string]map[int32]int64 // with exit: where each partition ends that has not reached it
	}
	fetches fetchCount
	printed int
	buf     []byte
}

// idleEnd is how long --exit waits for records that do not come: at the end of a compacted partition the last offsets may be gone. As long as
// the brokers have not answered idleFetches fetches since the last record, that none came says nothing.
const (
	idleEnd     = 5 * time.Second
	idleFetches = 4
)

// fetchCount counts fetches that were answered.
type fetchCount struct{ atomic.Int64 }

// OnBrokerE2E is a hook of the client.
func (c *fetchCount) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if key == int16(kmsg.Fetch) && e.Err() == nil {
		c.Add(1)
	}
}

// idle decides what it means that no record came for so long, in which time so many fetches were answered: that there is none, or, after a
// limit, that the brokers do not answer, or nothing yet.
func idle(quiet time.Duration, answered int64, limit time.Duration) (ended bool, err error) {
	switch {
	case quiet <= idleEnd:
		return false, nil
	case answered >= idleFetches:
		return true, nil
	case quiet > max(limit, idleEnd):
		return true, &fault{what: fmt.Sprintf("no answer for %s, and not all has been read", quiet.Round(time.Second)), next: "klamm cluster health", code: ExitError}
	}
	return false, nil
}

func (run *consumption) finished() bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.exit && run.mu.got && len(run.mu.pending) == 0
}

// plan lists partitions to read with their first offsets and, for --exit, notes their ends.
func (run *consumption) plan(ctx context.Context, adm *connect.Cluster, topics []string, f consumeFlags, start startPoint) (map[string]map[int32]kgo.Offset, error) {
	details, err := matchTopics(ctx, adm, topics, f.regex)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int32]kgo.Offset{}
	for _, t := range details.Sorted() {
		if t.Err != nil {
			return nil, &fault{what: "topic " + t.Topic, why: t.Err}
		}
		for _, p := range t.Partitions.Sorted() {
			if len(f.partitions) > 0 && !slices.Contains(f.partitions, p.Partition) {
				continue
			}
			if out[t.Topic] == nil {
				out[t.Topic] = map[int32]kgo.Offset{}
			}
			out[t.Topic][p.Partition] = start.offset()
		}
	}
	if len(out) == 0 {
		return nil, &fault{what: "no such partition", next: "see them: klamm topic describe NAME", code: ExitError}
	}
	if !f.exit && start.kind != beforeEnd && start.kind != atTime {
		return out, nil
	}
	r, err := listRanges(ctx, adm, sortedKeys(out), start)
	if err != nil {
		return nil, err
	}
	ends := map[string]map[int32]int64{}
	for topic, partitions := range out {
		for p := range partitions {
			first, end := start.exact(r, topic, p)
			partitions[p] = kgo.NewOffset().At(first)
			note(ends, topic, p, first, end)
		}
	}
	run.until(ends)
	return out, nil
}

// note adds where a partition ends, unless there is nothing to read before it.
func note(ends map[string]map[int32]int64, topic string, p int32, first, end int64) {
	if first >= end {
		return
	}
	if ends[topic] == nil {
		ends[topic] = map[int32]int64{}
	}
	ends[topic][p] = end
}

// until adds ends to reach.
func (run *consumption) until(ends map[string]map[int32]int64) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.mu.got = true
	if run.mu.pending == nil {
		run.mu.pending = map[string]map[int32]int64{}
	}
	for topic, partitions := range ends {
		for p, end := range partitions {
			if run.mu.pending[topic] == nil {
				run.mu.pending[topic] = map[int32]int64{}
			}
			run.mu.pending[topic][p] = end
		}
	}
}

func matchTopics(ctx context.Context, adm *connect.Cluster, topics []string, asRegex bool) (kadm.TopicDetails, error) {
	if !asRegex {
		details, err := adm.ListTopicsWithInternal(ctx, topics...)
		if err != nil {
			return nil, err
		}
		for _, name := range topics {
			if t, ok := details[name]; !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
				return nil, &fault{what: "topic " + name, why: kerr.UnknownTopicOrPartition}
			}
		}
		return details, nil
	}
	all, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	out := kadm.TopicDetails{}
	for _, pattern := range topics {
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return nil, usage("%s: %v", pattern, err)
		}
		for name, t := range all {
			if re.MatchString(name) {
				out[name] = t
			}
		}
	}
	return out, nil
}

// assigned makes what a group member got part of its offsets, and notes for --exit where that ends.
func (run *consumption) assigned(ctx context.Context, cl *kgo.Client, got map[string][]int32) {
	if err := connect.CommitStarts(ctx, cl, run.group, got, run.atEnd); err != nil {
		run.app.note("committing where to begin: %v", err)
	}
	if !run.exit {
		return
	}
	adm := &connect.Cluster{Client: kadm.NewClient(cl), Raw: cl}
	ends := map[string]map[int32]int64{}
	if len(got) > 0 {
		committed, err := adm.FetchOffsets(ctx, run.group)
		if err != nil {
			return // the loop meets the same error
		}
		r, err := listRanges(ctx, adm, sortedKeys(got), startPoint{kind: atBeginning})
		if err != nil {
			return
		}
		for topic, partitions := range got {
			for _, p := range partitions {
				first, end := startPoint{kind: atBeginning}.exact(r, topic, p)
				if o, ok := committed.Lookup(topic, p); ok && o.At >= 0 {
					first = max(first, o.At)
				}
				note(ends, topic, p, first, end)
			}
		}
	}
	run.until(ends)
}

func (run *consumption) revoked(ctx context.Context, cl *kgo.Client, lost map[string][]int32) {
	if err := cl.CommitMarkedOffsets(ctx); err != nil {
		run.app.note("committing: %v", err)
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	for topic, partitions := range lost {
		for _, p := range partitions {
			run.reachedLocked(topic, p)
		}
	}
}

func (run *consumption) reachedLocked(topic string, p int32) {
	delete(run.mu.pending[topic], p)
	if len(run.mu.pending[topic]) == 0 {
		delete(run.mu.pending, topic)
	}
}

// loop polls and prints until there is no more to do.
func (run *consumption) loop(ctx context.Context, cl *kgo.Client) error {
	last, answered := time.Now(), run.fetches.Load()
	for !run.finished() {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := cl.PollFetches(poll)
		cancel()
		if err := pollError(ctx, fetches); err != nil {
			return err
		}
		if fetches.NumRecords() > 0 {
			last, answered = time.Now(), run.fetches.Load()
		}
		done, err := run.print(cl, fetches)
		cl.AllowRebalance()
		switch {
		case err != nil || done:
			return err
		case ctx.Err() != nil:
			return nil
		case run.exit && run.known():
			if ended, err := idle(time.Since(last), run.fetches.Load()-answered, run.app.flags.timeout); ended {
				return err
			}
		}
	}
	return nil
}

func (run *consumption) known() bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.mu.got
}

// pollError is the first error of a poll that is not its own time limit.
func pollError(ctx context.Context, fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if ctx.Err() == nil && (errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled)) {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if e.Topic != "" {
			return &fault{what: "topic " + e.Topic, why: e.Err}
		}
		return e.Err
	}
	return nil
}

// print writes the records and reports whether all that was asked for has been printed.
func (run *consumption) print(cl *kgo.Client, fetches kgo.Fetches) (done bool, err error) {
	for iter := fetches.RecordIter(); !iter.Done(); {
		r := iter.Next()
		if !r.Attrs.IsControl() && !run.behindEnd(r) {
			run.buf = run.show(run.buf[:0], r)
			if _, err := run.app.out.Write(run.buf); err != nil {
				return true, nil //nolint:nilerr // the reader of our output has gone, which is how `| head` ends this
			}
			run.printed++
			if run.group != "" {
				cl.MarkCommitRecords(r)
			}
		}
		run.reach(r)
		if run.count > 0 && run.printed >= run.count {
			return true, nil
		}
	}
	if err := run.app.out.Flush(); err != nil {
		return true, nil //nolint:nilerr // likewise
	}
	return run.finished(), nil
}

// behindEnd: with --exit, what arrived after the start is not printed.
func (run *consumption) behindEnd(r *kgo.Record) bool {
	if !run.exit {
		return false
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	end, ok := run.mu.pending[r.Topic][r.Partition]
	return run.mu.got && (!ok || r.Offset >= end)
}

func (run *consumption) reach(r *kgo.Record) {
	if !run.exit {
		return
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	if end, ok := run.mu.pending[r.Topic][r.Partition]; ok && r.Offset+1 >= end {
		run.reachedLocked(r.Topic, r.Partition)
	}
}
