package interop

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/interop/clients"
	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// ride is a program with a producer and a group that run on while brokers are stopped and killed (ride/Ride.java says what it understands).
type ride struct {
	*program
	dir string
	// slow is true on Apache Kafka, which takes its time to notice what is gone, and to hand over.
	slow bool
}

const (
	rideTopic      = "ride"
	rideGroup      = "riders"
	ridePartitions = 3
)

// rideRounds is how often the brokers are restarted in turn.
var rideRounds = flag.Int("ride-rounds", 1, "rolling restarts of all brokers in the tests of clients through failures")

// startRide runs the program, once it has written and read something.
func startRide(t *testing.T, p *patient, argv []string, properties ...string) *ride {
	t.Helper()
	p.makeTopic(rideTopic, ridePartitions, nil)
	r := &ride{dir: t.TempDir(), slow: p.kafka}
	args := append(argv[1:], p.addr, rideTopic, strconv.Itoa(ridePartitions), rideGroup, r.dir)
	r.program = startProgram(t, argv[0], append(args, properties...)...)
	p.eventually("the group at work", func(context.Context) error {
		if m := r.mark("start"); m.read == 0 || m.acked == 0 {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	return r
}

// mark is what happened since the mark before.
type mark struct {
	acked, errors int
	// pause is the longest time between two acknowledgements of one partition, slowest between a record and its own.
	pause, slowest time.Duration
	// read, rebalances and lost are totals: records read, partitions taken back from a member and lost by one.
	read, rebalances, lost int
	generations, raw       string
}

// mark asks the program.
func (r *ride) mark(what string) mark {
	r.t.Helper()
	m := mark{raw: r.ask("mark " + what)}
	number := func(key string) int {
		found := regexp.MustCompile(` ` + key + `=(-?\d+)`).FindStringSubmatch(m.raw)
		if found == nil {
			r.t.Fatalf("no %s in %q", key, m.raw)
		}
		n, _ := strconv.Atoi(found[1])
		return n
	}
	m.acked, m.errors, m.read, m.rebalances, m.lost = number("acked"), number("errors"), number("read"), number("rebalances"), number("lost")
	m.pause, m.slowest = time.Duration(number("pause"))*time.Millisecond, time.Duration(number("slowest"))*time.Millisecond
	_, m.generations, _ = strings.Cut(m.raw, "generations=")
	return m
}

// stage is a mark for something that is done to the brokers: no error may have come to the producer's user, and no pause may be longer than
// limit. The pause itself goes to the log.
func (r *ride) stage(what string, limit time.Duration, do func()) mark {
	r.t.Helper()
	r.mark("before")
	do()
	r.awaitWork(100)
	m := r.mark(strings.ReplaceAll(what, " ", "-"))
	r.t.Logf("%s: longest pause of a partition %v, slowest record %v; %s", what, m.pause, m.slowest, m.raw)
	if m.errors > 0 {
		r.t.Errorf("%s: the producer's user saw %d errors: %s", what, m.errors, m.raw)
	}
	if r.slow {
		limit = time.Minute
	}
	if m.pause > limit {
		r.t.Errorf("%s: no acknowledgement for %v", what, m.pause)
	}
	return m
}

// awaitWork waits until every partition has acknowledged n records more and the group has read as many.
func (r *ride) awaitWork(n int) {
	r.t.Helper()
	begunAcked, begunRead := r.count()
	for end := time.Now().Add(time.Minute); ; {
		acked, read := r.count()
		if acked >= begunAcked+n && read >= begunRead+n*ridePartitions {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("work does not go on: %d records of a partition acknowledged, %d read", acked-begunAcked, read-begunRead)
		}
		time.Sleep(20 * time.Millisecond) // asks again; orders nothing
	}
}

// count is how many records of the slowest partition were acknowledged since the mark, and how many the group has read in all.
func (r *ride) count() (acked, read int) {
	r.t.Helper()
	if line := r.ask("count"); !scan(line, "count %d %d", &acked, &read) {
		r.t.Fatalf("%q", line)
	}
	return acked, read
}

func scan(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

// end stops the program and compares what it wrote with what the log holds and with what its group read.
func (r *ride) end(p *patient) {
	r.t.Helper()
	if got := r.ask("stop"); got != "done" {
		r.t.Fatalf("%q", got)
	}
	acked, read := r.records("acked", 0), r.records("read", 1)
	log := p.numbers(rideTopic)
	r.t.Logf("%d acknowledged, %d in the log, %d read", len(acked), len(log), len(read))
	missing, doubled := 0, 0
	at := map[string]string{}
	for place, number := range log {
		if other, twice := at[number]; twice {
			doubled++
			r.t.Logf("record %s stands at %s and at %s", number, other, place)
		}
		at[number] = place
	}
	seen := map[string]bool{}
	for _, l := range read {
		seen[l] = true
		if place, number := cutLast(l); log[place] != number {
			r.t.Errorf("read %s at %s, where the log has %q", number, place, log[place])
		}
	}
	for _, l := range acked {
		if place, number := cutLast(l); log[place] != number {
			missing++
			r.t.Logf("record %s was acknowledged at %s, where the log has %q", number, place, log[place])
		} else if !seen[l] {
			r.t.Errorf("record %s at %s was acknowledged and never read by the group", number, place)
		}
	}
	if missing > 0 || doubled > 0 || len(acked) == 0 {
		r.t.Errorf("of %d acknowledged %d are missing; %d stand twice", len(acked), missing, doubled)
	}
}

// records are the lines of a file of the program, without the first words.
func (r *ride) records(name string, skip int) []string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.Join(strings.Fields(line)[skip:], " "))
	}
	return out
}

func cutLast(s string) (before, last string) {
	i := strings.LastIndexByte(s, ' ')
	return s[:i], s[i+1:]
}

// javaRide is the program with the Java client, compiled against the newest.
func javaRide(t *testing.T) []string {
	t.Helper()
	toolchain.Need(t, "java", "javac", "mvn")
	argv, err := clients.Ride(t.Context())
	if err != nil {
		toolchain.Unavailable(t, "cannot be fetched: "+err.Error())
	}
	return argv
}

// pauseOfRestart and pauseOfCrash are how long a partition may go without an acknowledgement when a broker is stopped, and when one is killed.
// The issue's own limits are 200 ms and 1.5 s; these leave room for a machine that does other things, and are far below what Kafka needs
// to notice a broker that was killed.
const (
	pauseOfRestart = 2 * time.Second
	pauseOfCrash   = 5 * time.Second
)

// TestJavaThroughFailures lets a Java producer with its default settings, so an idempotent one, and a classic group work on while brokers go.
func TestJavaThroughFailures(t *testing.T) {
	argv := javaRide(t)
	p := startPatient(t)
	r := startRide(t, p, argv)
	throughFailures(p, r)
	recordFailure(t, "kafka-clients "+kafkaref.Version, "an idempotent producer with default settings and a classic group: no error, nothing lost or twice, while each broker is stopped "+
		"and started, and while a leader, the controller and the group's coordinator are killed", "the group keeps its generation when its coordinator is lost")
}

// TestLibrdkafkaThroughFailures is the same for librdkafka, by confluent-kafka.
func TestLibrdkafkaThroughFailures(t *testing.T) {
	toolchain.Need(t, "python3")
	argv, err := clients.RideLibrdkafka(t.Context())
	if err != nil {
		toolchain.Unavailable(t, "cannot be fetched: "+err.Error())
	}
	p := startPatient(t)
	r := startRide(t, p, argv)
	throughFailures(p, r)
	recordFailure(t, "confluent-kafka 2.16.1", "an idempotent producer and a classic group in the same way")
}

// throughFailures stops and kills brokers in turn, by what they are to the clients.
func throughFailures(p *patient, r *ride) {
	t := r.t
	t.Helper()
	for i := range p.brokers * *rideRounds {
		i %= p.brokers
		what := "SIGTERM and restart"
		if p.place(p.controller()) == i {
			what = "SIGTERM and restart of the controller"
		}
		r.stage(what, pauseOfRestart, func() { p.bounce(i, true, rideTopic, "__consumer_offsets") })
	}
	r.stage("kill -9 of a leader", pauseOfCrash, func() { p.bounce(p.place(p.leader(rideTopic, 0)), false, rideTopic, "__consumer_offsets") })
	r.stage("kill -9 of the controller", pauseOfCrash, func() { p.bounce(p.place(p.controller()), false, rideTopic, "__consumer_offsets") })
	before := r.mark("before")
	after := r.stage("kill -9 of the group's coordinator", pauseOfCrash, func() { p.bounce(p.place(p.coordinator(rideGroup)), false, rideTopic, "__consumer_offsets") })
	if before.generations != after.generations || before.rebalances != after.rebalances || after.lost > before.lost {
		t.Errorf("the group was disturbed by the loss of its coordinator:\nbefore %s\nafter  %s", before.raw, after.raw)
	}
	r.end(p)
}
