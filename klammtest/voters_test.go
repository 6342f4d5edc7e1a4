package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/klammtest"
)

// churn creates topics, one after the other, until it is stopped, and says which.
type churn struct {
	stop context.CancelFunc
	done sync.WaitGroup
	made []string
	slow time.Duration // the slowest
}

func startChurn(t *testing.T, c *klammtest.Cluster) *churn {
	ctx, cancel := context.WithCancel(t.Context())
	ch := &churn{stop: cancel}
	adm := kadm.NewClient(clusterClient(t, c))
	ch.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			name, begin := fmt.Sprintf("churn-%d", i), time.Now()
			// Not ctx: one that is given up leaves open what became of it.
			err := tryCreate(t.Context(), adm, 2, 1, nil, name)
			for err != nil && passes(err) && time.Since(begin) < patience {
				err = tryCreate(t.Context(), adm, 2, 1, nil, name)
			}
			if err != nil {
				if t.Context().Err() == nil {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			ch.made, ch.slow = append(ch.made, name), max(ch.slow, time.Since(begin))
		}
	})
	return ch
}

// check ends the churn: every topic that was made is there.
func (ch *churn) check(ctx context.Context, t *testing.T, c *klammtest.Cluster) {
	t.Helper()
	ch.stop()
	ch.done.Wait()
	adm := kadm.NewClient(clusterClient(t, c))
	eventually(ctx, t, "every topic is there", func() error {
		topics, err := adm.ListTopics(ctx)
		if err != nil {
			return err
		}
		for _, name := range ch.made {
			if !topics.Has(name) {
				return fmt.Errorf("no topic %s", name)
			}
		}
		return nil
	})
	if len(ch.made) == 0 {
		t.Error("no topic was made")
	}
	t.Logf("%d topics made, the slowest in %v", len(ch.made), ch.slow)
}

// members are voters and observers by node id, and the leader.
type members struct {
	leader           int32
	voters, learners []int32
	directory        map[int32][16]byte
}

func (m members) String() string { return fmt.Sprintf("voters %v, observers %v", m.voters, m.learners) }

func membersOf(ctx context.Context, cl *kgo.Client) (members, error) {
	req := kmsg.NewDescribeQuorumRequest()
	rt := kmsg.NewDescribeQuorumRequestTopic()
	rt.Topic, rt.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	req.Topics = append(req.Topics, rt)
	q, err := req.RequestWith(ctx, cl)
	if err != nil {
		return members{}, err
	}
	p := q.Topics[0].Partitions[0]
	m := members{leader: p.LeaderID, directory: map[int32][16]byte{}}
	for _, v := range p.CurrentVoters {
		m.voters, m.directory[v.ReplicaID] = append(m.voters, v.ReplicaID), v.ReplicaDirectoryID
	}
	for _, v := range p.Observers {
		m.learners, m.directory[v.ReplicaID] = append(m.learners, v.ReplicaID), v.ReplicaDirectoryID
	}
	slices.Sort(m.voters)
	slices.Sort(m.learners)
	return m, nil
}

func awaitMembers(ctx context.Context, t *testing.T, cl *kgo.Client, want string) members {
	t.Helper()
	var m members
	eventually(ctx, t, want, func() (err error) {
		if m, err = membersOf(ctx, cl); err == nil && (m.String() != want || m.leader < 0) {
			err = fmt.Errorf("%v, led by %d", m, m.leader)
		}
		return err
	})
	return m
}

func addVoter(ctx context.Context, cl *kgo.Client, id int32, dir [16]byte) error {
	q := kmsg.NewAddRaftVoterRequest()
	q.VoterID, q.VoterDirectoryID, q.TimeoutMillis = id, dir, 10_000
	resp, err := q.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return said(resp.ErrorCode, resp.ErrorMessage)
}

func removeVoter(ctx context.Context, cl *kgo.Client, id int32, dir [16]byte) error {
	q := kmsg.NewRemoveRaftVoterRequest()
	q.VoterID, q.VoterDirectoryID = id, dir
	resp, err := q.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return said(resp.ErrorCode, resp.ErrorMessage)
}

// ordered gives an order until it is decided. The leader that took it may be deposed before it can tell what became of it, at any time on a busy machine:
// then the order may find itself carried out.
func ordered(ctx context.Context, t *testing.T, what string, carriedOut error, give func() error) {
	t.Helper()
	open := false
	eventually(ctx, t, what, func() error {
		err := give()
		switch {
		case open && errors.Is(err, carriedOut):
			return nil
		case errors.Is(err, kerr.NotController), errors.Is(err, kerr.RequestTimedOut):
			open = true
		case err != nil:
			t.Fatalf("%s: %v", what, err)
		}
		return err
	})
}

func said(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil {
		err = fmt.Errorf("%w: %s", err, *message)
	}
	return err
}

// TestVotersAddedAndRemovedUnderLoad: any voter, the leader too, while topics are made.
func TestVotersAddedAndRemovedUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	c.Join()
	cl := clusterClient(t, c)
	m := awaitMembers(ctx, t, cl, "voters [1 2 3], observers [4]")
	ch := startChurn(t, c)
	ordered(ctx, t, "adding 4", kerr.DuplicateVoter, func() error { return addVoter(ctx, cl, 4, m.directory[4]) })
	m = awaitMembers(ctx, t, cl, "voters [1 2 3 4], observers []")
	for range 3 { // the leader each time
		was := m.leader
		begin := time.Now()
		ordered(ctx, t, fmt.Sprintf("removing the leader, %d", was), kerr.VoterNotFound, func() error { return removeVoter(ctx, cl, was, m.directory[was]) })
		t.Logf("leader %d removed in %v", was, time.Since(begin))
		rest := slices.DeleteFunc([]int32{1, 2, 3, 4}, func(id int32) bool { return id == was })
		m = awaitMembers(ctx, t, cl, fmt.Sprintf("voters %v, observers [%d]", rest, was))
		if m.leader == was {
			t.Errorf("%d leads after it was removed", was)
		}
		ordered(ctx, t, fmt.Sprintf("adding %d again", was), kerr.DuplicateVoter, func() error { return addVoter(ctx, cl, was, m.directory[was]) })
		m = awaitMembers(ctx, t, cl, "voters [1 2 3 4], observers []")
	}
	ch.check(ctx, t, c)
}

// TestRemovedVoterStaysOne: klamm.controllers does not undo what an administrator ordered.
func TestRemovedVoterStaysOne(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	cl := clusterClient(t, c)
	m := awaitMembers(ctx, t, cl, "voters [1 2 3], observers []")
	ordered(ctx, t, "removing 3", kerr.VoterNotFound, func() error { return removeVoter(ctx, cl, 3, m.directory[3]) })
	c.Broker(3).Restart()
	awaitMembers(ctx, t, cl, "voters [1 2], observers [3]")
	// A node that nobody holds back makes three again, and not the one that was removed.
	c.Join()
	awaitMembers(ctx, t, cl, "voters [1 2 4], observers [3]")
	ordered(ctx, t, "adding 3", kerr.DuplicateVoter, func() error { return addVoter(ctx, cl, 3, m.directory[3]) })
	awaitMembers(ctx, t, cl, "voters [1 2 3 4], observers []")
}

// TestQuorumThatWouldBeLostIsKept: two of three have to live.
func TestQuorumThatWouldBeLostIsKept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	cl := clusterClient(t, c)
	m := awaitMembers(ctx, t, cl, "voters [1 2 3], observers []")
	var dead, alive int32
	for _, id := range m.voters {
		switch {
		case id == m.leader:
		case dead == 0:
			dead = id
		default:
			alive = id
		}
	}
	c.Broker(int(dead)).Kill()
	eventually(ctx, t, "its death is known", func() error {
		b, err := kadm.NewClient(cl).ListBrokers(ctx)
		if err == nil && len(b) != 2 {
			err = fmt.Errorf("brokers %v", b.NodeIDs())
		}
		return err
	})
	if err := removeVoter(ctx, cl, alive, m.directory[alive]); !errors.Is(err, kerr.InvalidRequest) {
		t.Fatalf("removing a voter that is needed: %v", err)
	}
	ordered(ctx, t, "removing the dead one", kerr.VoterNotFound, func() error { return removeVoter(ctx, cl, dead, m.directory[dead]) })
	awaitMembers(ctx, t, cl, fmt.Sprintf("voters %v, observers []", slices.DeleteFunc(slices.Clone(m.voters), func(id int32) bool { return id == dead })))
	// It comes back as a learner, and makes three again: nobody took its vote away for good.
	c.Start()
	awaitMembers(ctx, t, cl, "voters [1 2 3], observers []")
}

// TestWipedVoterIsReplacedByItself: what comes back at its address gets its vote after a session.
func TestWipedVoterIsReplacedByItself(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Set("broker.session.timeout.ms", "1000"), klammtest.Set("broker.heartbeat.interval.ms", "100"))
	cl := clusterClient(t, c)
	ch := startChurn(t, c)
	for i, after := range []string{"voters [1 3 4], observers []", "voters [1 4 5], observers []"} {
		b := c.Brokers[i+1]
		b.Kill()
		b.Wipe()
		c.Start()
		awaitMembers(ctx, t, cl, after)
	}
	c.Brokers[0].Kill() // the two that are new have to be enough
	ch.check(ctx, t, c)
}

// TestWipedBrokerKeepsItsConfiguredID: node.id stands in its configuration, as in Kafka's, so it comes back under it, and is filled again.
func TestWipedBrokerKeepsItsConfiguredID(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Set("broker.session.timeout.ms", "1000"), klammtest.Set("broker.heartbeat.interval.ms", "100"))
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	b := c.Join(klammtest.Set("node.id", "7"))
	if _, err := adm.CreateTopic(ctx, 1, 4, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.Kill()
	b.Wipe()
	c.Start()
	if b.NodeID() != 7 {
		t.Fatalf("came back as %d", b.NodeID())
	}
	eventually(ctx, t, "in sync again", func() error {
		m, err := adm.Metadata(ctx, "t")
		if err == nil && len(m.Topics["t"].Partitions[0].ISR) != 4 {
			err = fmt.Errorf("ISR %v", m.Topics["t"].Partitions[0].ISR)
		}
		return err
	})
}
