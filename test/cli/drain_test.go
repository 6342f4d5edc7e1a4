package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/process"
)

// TestDrainWaitsForItsBrokerAlone: another partition's move, which takes hours, holds it up neither at its beginning nor at its end; the only replica of a
// partition on a broker that is away is named, and ends the wait.
func TestDrainWaitsForItsBrokerAlone(t *testing.T) {
	c := process.StartCluster(t, 4)
	s := &shell{bin: process.Binary(t), dir: t.TempDir(), broker: strings.Join(c.Kafka, ",")}
	for _, topic := range []struct{ name, at string }{{"lone", "4"}, {"pair", "4,1"}, {"other", "2"}} {
		until(t, s, 0, "topic create "+topic.name+" --if-not-exists --partitions 1 --replication-factor "+fmt.Sprint(1+strings.Count(topic.at, ",")))
		until(t, s, 0, "partition move "+topic.name+" --to "+topic.at+" --yes")
	}
	until(t, s, 0, "partition verify")
	for _, topic := range []string{"lone", "pair", "other"} { // more than one fetch takes, which may be ahead of its throttle
		if r := s.run(t, strings.Repeat(strings.Repeat("x", 1000)+"\n", 3000), "klamm", "produce", topic); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	until(t, s, 0, "partition move other --to 3 --yes --throttle 10")
	until(t, s, 0, "partition status", "other")

	c.Kill(place(c, 4))
	s.broker = strings.Join([]string{c.Kafka[place(c, 1)], c.Kafka[place(c, 2)], c.Kafka[place(c, 3)]}, ",")
	until(t, s, 0, "partition list lone", "offline")
	begin := time.Now()
	r := s.run(t, "", "klamm", "broker", "drain", "4", "--wait", "--yes")
	t.Logf("exit code %d after %v\n%s%s", r.code, time.Since(begin), r.stdout, r.stderr)
	why := "lone-0: nobody leads it while broker 4 is away"
	if r.code != 1 || !strings.Contains(r.stdout, "pair") || !strings.Contains(r.stderr, "broker 4 still has 1 partition that cannot move: "+why) ||
		!strings.Contains(r.stderr, "\nbroker 4 still has 1 partition: lone-0; 1 cannot move: "+why) || strings.Contains(r.stderr, "other") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := s.run(t, "", "klamm", "broker", "decommission", "4", "--yes"); r.code != 1 || !strings.Contains(r.stderr, why) || strings.Contains(r.stdout, "forgotten") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	if err := c.Start(place(c, 4)); err != nil {
		t.Fatal(err)
	}
	until(t, s, 0, "partition list lone", "ok")
	if r := s.run(t, "", "klamm", "broker", "drain", "4", "--wait", "--yes"); r.code != 0 || !strings.Contains(r.stdout, "broker 4 holds nothing any more") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	until(t, s, 0, "partition status", "other")
}
