package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// fault is one way to break a cluster, and to mend it again: when run returns, every machine runs and is whole.
type fault struct {
	name string
	// run says what it did.
	run func(c *campaign) (string, error)
}

// campaign breaks a fleet under load.
type campaign struct {
	t    *testing.T
	ctx  context.Context
	f    *fleet
	rng  *rand.Rand
	load *recording
	seed uint64
	// long is set by CHAOS_MINUTES: faults then last as long as their worst form, and there are many of them.
	long    bool
	session time.Duration // of the brokers
	done    map[string]int
	whole   bool // every fault is to come: then the run must be worth something
	kills   int
	rolling time.Duration // the longest pause of the producers during rolling restarts
}

// Topics of a campaign.
const (
	loadTopic  = "load"
	probeTopic = "probe" // what an isolated leader is asked to acknowledge
)

const (
	loadPartitions = 6
	replicas       = 3
)

// TestNemesis breaks five real brokers, each on a machine of its own, in every way a machine, a network and a disk break, one after the other
// under load. Without CHAOS_MINUTES each fault comes once and short. CHAOS_SEED repeats the order and the choices, CHAOS_FAULTS=name,name
// takes those faults only, CHAOS_SET=key=value,key=value sets keys of all brokers (with log.durability=page-cache the power cuts must be seen to lose
// records), CHAOS_KEEP=dir keeps the nodes' logs and the history of a run that failed.
func TestNemesis(t *testing.T) {
	c := newCampaign(t)
	chosen := faults()
	c.whole = os.Getenv("CHAOS_FAULTS") == ""
	if names := os.Getenv("CHAOS_FAULTS"); names != "" {
		wanted := strings.Split(names, ",")
		chosen = slices.DeleteFunc(chosen, func(f fault) bool { return !slices.Contains(wanted, f.name) })
		if len(chosen) == 0 {
			t.Fatalf("CHAOS_FAULTS=%s names none of %v", names, faults())
		}
	}
	c.rng.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	c.start()
	for _, x := range chosen {
		c.strike(x)
	}
	for end := time.Now().Add(minutes(t)); time.Now().Before(end); {
		c.strike(chosen[c.rng.IntN(len(chosen))])
	}
	c.finish()
}

func (f fault) String() string { return f.name }

// minutes is how long the long form goes on; 0 for the short one.
func minutes(t *testing.T) time.Duration {
	n, err := strconv.ParseFloat(cmpOr(os.Getenv("CHAOS_MINUTES"), "0"), 64)
	if err != nil {
		t.Fatalf("CHAOS_MINUTES: %v", err)
	}
	return time.Duration(n * float64(time.Minute))
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func newCampaign(t *testing.T) *campaign {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("CHAOS_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	c := &campaign{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 5)), long: minutes(t) > 0, session: 2 * time.Second, done: map[string]int{}}
	if c.long {
		c.session = 9 * time.Second // the default
	}
	t.Logf("CHAOS_SEED=%d CHAOS_MINUTES=%v", seed, minutes(t).Minutes())
	limit := 5 * time.Minute
	if c.long {
		limit = 20*time.Minute + 2*minutes(t) // every fault once takes about ten
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	c.ctx = ctx
	ms := func(key string, d time.Duration) string { return fmt.Sprintf("%s=%d", key, d.Milliseconds()) }
	settings := []string{
		ms("broker.session.timeout.ms", c.session), ms("broker.heartbeat.interval.ms", c.session/4), ms("replica.lag.time.max.ms", 2*c.session),
		"group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=1000", "offsets.topic.num.partitions=5", "default.replication.factor=3",
		"min.insync.replicas=2", "auto.create.topics.enable=false",
	}
	if v := os.Getenv("CHAOS_SET"); v != "" {
		settings = append(settings, strings.Split(v, ",")...)
	}
	var args []string
	for _, s := range settings {
		args = append(args, "-X", s)
	}
	c.f = newFleet(t, 5, args...)
	return c
}

// start makes the topics and starts the load.
func (c *campaign) start() {
	c.t.Helper()
	cl, err := c.f.client(c.f.addrs()...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	two := "2"
	if _, err := kadm.NewClient(cl).CreateTopic(c.ctx, 1, replicas, map[string]*string{"min.insync.replicas": &two}, probeTopic); err != nil {
		c.t.Fatal(err)
	}
	c.must(c.startLoad())
	c.must(c.f.healed(c.ctx, loadTopic, probeTopic))
	c.must(c.progress(50, 20*time.Second))
}

func (c *campaign) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// strike does one fault, and then expects the load to go on.
func (c *campaign) strike(x fault) {
	c.t.Helper()
	if c.ctx.Err() != nil {
		c.t.Fatal(c.ctx.Err())
	}
	begun, before := time.Now(), c.load.acked()
	what, err := x.run(c)
	if err != nil {
		c.t.Fatalf("%s: %s: %v", x.name, what, err)
	}
	broken := time.Since(begun)
	during := c.load.acked() - before
	mended := time.Now()
	c.must(c.f.alive())
	if err := c.progress(50, 30*time.Second); err != nil {
		c.t.Fatalf("after %s (%s): %v", x.name, what, err)
	}
	c.done[x.name]++
	c.t.Logf("%-12s %s: %v, %d acknowledged meanwhile, longest pause %v, 50 more after %v", x.name, what, broken.Round(10*time.Millisecond), during,
		c.load.gap(begun).Round(time.Millisecond), time.Since(mended).Round(time.Millisecond))
}

// progress returns when n more records are acknowledged.
func (c *campaign) progress(n int, limit time.Duration) error {
	want, end := c.load.acked()+n, time.Now().Add(limit)
	for c.load.acked() < want {
		if time.Now().After(end) {
			return fmt.Errorf("no progress: %d records to go after %v", want-c.load.acked(), limit)
		}
		time.Sleep(10 * time.Millisecond) // asks again; orders nothing
	}
	return nil
}

// hold lets what is broken be broken for a while: so long in the short form, and in the long one up to so long.
func (c *campaign) hold(short, long time.Duration) time.Duration {
	d := short
	if c.long {
		d += time.Duration(c.rng.Int64N(int64(long)))
	}
	time.Sleep(d) // the fault's length; orders nothing
	return d
}

// others are machines that are none of these, in random order.
func (c *campaign) others(not ...*machine) (out []*machine) {
	for _, i := range c.rng.Perm(len(c.f.machines)) {
		if m := c.f.machines[i]; !slices.Contains(not, m) {
			out = append(out, m)
		}
	}
	return out
}

// any is a random machine.
func (c *campaign) any() *machine { return c.others()[0] }

// roles finds machines by what they do in the moment: one that leads a partition of the load, one that follows it, and the controller.
func (c *campaign) roles() (leader, follower, controller *machine, err error) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // asks again
		v, err := c.f.look(c.ctx, loadTopic)
		if err == nil {
			p := v.topics[loadTopic][c.rng.IntN(len(v.topics[loadTopic]))]
			for _, r := range p.Replicas {
				if r != p.Leader {
					follower = c.f.of(r)
				}
			}
			leader, controller = c.f.of(p.Leader), c.f.of(v.controller)
			if leader != nil && follower != nil && controller != nil {
				return leader, follower, controller, nil
			}
			err = fmt.Errorf("leader %d of replicas %v, controller %d", p.Leader, p.Replicas, v.controller)
		}
		if time.Now().After(end) {
			return nil, nil, nil, fmt.Errorf("nobody can say who leads: %w", err)
		}
	}
}

// target is a machine that matters: leader, follower, controller, or anybody.
func (c *campaign) target() (*machine, string, error) {
	leader, follower, controller, err := c.roles()
	if err != nil {
		return nil, "", err
	}
	switch c.rng.IntN(4) {
	case 0:
		return leader, fmt.Sprintf("leader %v", leader), nil
	case 1:
		return follower, fmt.Sprintf("follower %v", follower), nil
	case 2:
		return controller, fmt.Sprintf("controller %v", controller), nil
	}
	m := c.any()
	return m, m.String(), nil
}
