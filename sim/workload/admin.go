package workload

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/sim/history"
)

// admin makes topics of its own, changes them and deletes some, one op after the other. A topic with an undecided op is left alone from then on:
// nobody could say what it must be.
type admin struct {
	body
	made int
	// topics are those with decided ops only, as they must be at the end.
	topics []history.Change
}

// tuned is the configuration that an admin changes.
const tuned = "retention.ms"

func (a *admin) run(ctx context.Context) {
	// A request that is sent twice can be carried out late: a create whose first copy was held up, after the delete that followed it. Kafka does
	// that as well, so an op is one request here.
	cl, err := a.w.client(ctx, a.rng, kgo.RequestRetries(0))
	if err != nil {
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for a.rest(ctx, a.w.o.Pace.Admin) {
		a.made++
		t := history.Change{Topic: fmt.Sprintf("scratch-%d-%d", a.id, a.made)}
		decided := a.story(ctx, adm, &t)
		// Another topic of the same name: nothing of the first may come back with it (M5).
		for decided && !t.Exists && a.rng.IntN(2) == 0 && a.rest(ctx, a.w.o.Pace.Admin) {
			t = history.Change{Topic: t.Topic}
			decided = a.story(ctx, adm, &t)
		}
		if decided {
			a.topics = append(a.topics, t)
		}
	}
}

// story is the life of a topic, as t is to be in the end. It reports whether all of it is decided.
func (a *admin) story(ctx context.Context, adm *kadm.Client, t *history.Change) bool {
	parts := int32(1 + a.rng.IntN(3))
	replicas := a.w.o.Fewest + int16(a.rng.IntN(int(a.w.o.Replicas-a.w.o.Fewest+1)))
	value := strconv.Itoa(1_000_000 + a.rng.IntN(1_000_000))
	err := a.do(history.Change{Verb: history.CreateTopic, Topic: t.Topic, Partitions: parts}, func() error {
		_, err := adm.CreateTopic(ctx, parts, replicas, nil, t.Topic)
		return err
	})
	if err != nil {
		return false
	}
	t.Exists, t.Partitions = true, parts
	if a.rng.IntN(2) == 0 {
		if !a.rest(ctx, a.w.o.Pace.Admin) {
			return true
		}
		err = a.do(history.Change{Verb: history.AlterConfig, Topic: t.Topic, Config: tuned, Value: value}, func() error {
			return firstOf(adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: tuned, Value: &value}}, t.Topic))
		})
		if err != nil {
			return false
		}
		t.Config, t.Value = tuned, value
	}
	if a.rng.IntN(2) == 0 {
		if !a.rest(ctx, a.w.o.Pace.Admin) {
			return true
		}
		err = a.do(history.Change{Verb: history.CreatePartitions, Topic: t.Topic, Partitions: parts + 1}, func() error {
			r, err := adm.UpdatePartitions(ctx, int(parts)+1, t.Topic)
			if err == nil {
				err = r[t.Topic].Err
			}
			return err
		})
		if err != nil {
			return false
		}
		t.Partitions++
	}
	if a.rng.IntN(3) > 0 || !a.rest(ctx, a.w.o.Pace.Admin) {
		return true
	}
	err = a.do(history.Change{Verb: history.DeleteTopic, Topic: t.Topic}, func() error {
		r, err := adm.DeleteTopics(ctx, t.Topic)
		if err == nil {
			err = r[t.Topic].Err
		}
		return err
	})
	t.Exists = false
	return err == nil
}

func firstOf(r kadm.AlterConfigsResponses, err error) error {
	for i := range r {
		if err == nil {
			err = r[i].Err
		}
	}
	return err
}

// do records one op. Whatever is not a success is undecided: kgo retries, and the answer to a retry says nothing of the first attempt.
func (a *admin) do(c history.Change, ask func() error) error {
	call := a.w.rec.Begin(history.Op{Process: a.process, F: history.Admin, Change: &c})
	err := ask()
	if err != nil {
		call.Info(err)
		return err
	}
	call.OK()
	return nil
}
