package klammtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/klammtest"
)

// TestReassignmentsSurviveKills moves partitions at random under load, kills any broker at any point of it, the controller too, and cancels half of
// the moves on the way: each ends where it was to go or where it was, and nothing acknowledged is lost (R7). SEED replays the choices, not the
// timing; ROUNDS sets how many.
func TestReassignmentsSurviveKills(t *testing.T) {
	rounds, seed := 6, rand.Uint64()
	for name, set := range map[string]func(string) error{
		"ROUNDS": func(v string) (err error) { rounds, err = strconv.Atoi(v); return err },
		"SEED":   func(v string) (err error) { seed, err = strconv.ParseUint(v, 10, 64); return err },
	} {
		if v := os.Getenv(name); v != "" {
			if err := set(v); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 11))
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*patience/2)
	defer cancel()
	c := klammtest.NewCluster(t, klammtest.Brokers(5))
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	const partitions = 3
	makeTopic(ctx, t, adm, "t", partitions, "min.insync.replicas", "2", "follower.replication.throttled.replicas", "*", "leader.replication.throttled.replicas", "*")
	inSync(ctx, t, adm, "t", 3)
	l := startLoad(t, c, "t", partitions)
	for round := range rounds {
		rate := 20_000 + rng.IntN(400_000)
		for id := range 5 {
			setRates(ctx, t, adm, int32(id+1), rate)
		}
		from, to := map[int32][]int32{}, map[int32][]int32{}
		for p := range int32(partitions) {
			eventually(ctx, t, "every broker knows where it is", func() error {
				d, err := agreed(ctx, cl, c, "t", p)
				from[p] = d.Replicas
				return err
			})
			for _, i := range rng.Perm(5)[:2+rng.IntN(3)] {
				to[p] = append(to[p], int32(i+1))
			}
		}
		eventually(ctx, t, "the controller takes it", func() error { return reassign(ctx, t, adm, "t", to) })
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond) // a point on the way, any
		victim := c.Broker(1 + rng.IntN(5))
		id := victim.NodeID()
		victim.Kill()
		cancelled := rng.IntN(2) == 0
		if cancelled {
			eventually(ctx, t, "the cancellation is taken", func() error {
				err := reassign(ctx, t, adm, "t", map[int32][]int32{0: nil, 1: nil, 2: nil})
				if errors.Is(err, kerr.NoReassignmentInProgress) {
					return nil
				}
				return err
			})
		}
		for b := range 5 {
			if b+1 != int(id) {
				setRates(ctx, t, adm, int32(b+1), 0)
			}
		}
		c.Start()
		setRates(ctx, t, adm, id, 0)
		settled(ctx, t, adm, "t")
		for p := range int32(partitions) {
			eventually(ctx, t, "an end", func() error {
				d := replicasOf(ctx, t, adm, "t", p)
				if same(d.Replicas, to[p]) || cancelled && same(d.Replicas, from[p]) {
					return nil
				}
				return fmt.Errorf("partition %d has %v, was to go from %v to %v, cancelled: %v", p, d.Replicas, from[p], to[p], cancelled)
			})
		}
		t.Logf("round %d: %d bytes per second, killed %d, cancelled %v, longest pause %v", round, rate, id, cancelled, l.longest())
	}
	for p := range int32(partitions) {
		eventually(ctx, t, "every replica is in sync", func() error {
			if d := replicasOf(ctx, t, adm, "t", p); len(d.ISR) != len(d.Replicas) {
				return fmt.Errorf("%+v", d)
			}
			return nil
		})
	}
	l.check(c)
}

func same(a, b []int32) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// setRates sets the throttles of a broker, 0 takes them away.
func setRates(ctx context.Context, t *testing.T, adm *kadm.Client, id int32, rate int) {
	t.Helper()
	op, v := kadm.SetConfig, strconv.Itoa(rate)
	if rate == 0 {
		op = kadm.DeleteConfig
	}
	eventually(ctx, t, "throttles are set", func() error {
		resp, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{
			{Op: op, Name: "leader.replication.throttled.rate", Value: &v}, {Op: op, Name: "follower.replication.throttled.rate", Value: &v},
		}, id)
		switch {
		case err != nil:
			return err
		case len(resp) != 1:
			return fmt.Errorf("%d answers", len(resp))
		}
		return resp[0].Err
	})
}
