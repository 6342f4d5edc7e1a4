package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// verifiable is one of Kafka's verifiable clients, which print an event for all that they do.
type verifiable struct {
	t    *testing.T
	cmd  *exec.Cmd
	errs strings.Builder // not to be read before the end

	mu struct {
		sync.Mutex
		// values says how often each value was acknowledged, or consumed; failed are those that were given up.
		values map[string]int
		failed []string
	}
	ended chan struct{}
}

// startVerifiable runs kafka-verifiable-producer or kafka-verifiable-consumer.
func startVerifiable(t *testing.T, tool string, args ...string) *verifiable {
	t.Helper()
	v := &verifiable{t: t, ended: make(chan struct{})}
	v.mu.values = map[string]int{}
	var err error
	if v.cmd, err = kafkaref.Command(context.WithoutCancel(t.Context()), tool, args...); err != nil {
		t.Fatal(err)
	}
	v.cmd.Stderr = &v.errs
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(v.ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			v.event(in.Bytes())
		}
		_ = v.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		<-v.ended
		if t.Failed() {
			t.Logf("standard error of %s:\n%s", tool, lastBytes(v.errs.String(), 3000))
		}
	})
	return v
}

func (v *verifiable) event(line []byte) {
	var e struct{ Name, Value, Exception, Message string }
	if json.Unmarshal(line, &e) != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Name {
	case "producer_send_success", "record_data":
		v.mu.values[e.Value]++
	case "producer_send_error":
		v.mu.failed = append(v.mu.failed, e.Value+": "+e.Exception+" "+e.Message)
	}
}

// count is how many different values went through.
func (v *verifiable) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.mu.values)
}

// stop ends it as SIGTERM does and returns its values and what failed.
func (v *verifiable) stop() (values map[string]int, failed []string) {
	v.t.Helper()
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.ended:
	case <-time.After(time.Minute):
		v.t.Fatal("the client does not end")
	}
	return maps.Clone(v.mu.values), v.mu.failed
}

// TestVerifiableClients mirrors Kafka's own replication_test, replication_replica_failure_test and round_trip_fault: its verifiable clients work
// through clean and hard bounces of a leader and of the controller, through a leader that is stopped for longer than its session, and with a
// replica down for good. What was acknowledged is consumed, and with idempotence nothing is consumed twice.
func TestVerifiableClients(t *testing.T) {
	toolchain.Need(t, "java", "mvn")
	p := startPatient(t)
	const topic = "verifiable"
	p.makeTopic(topic, 3, nil)
	retries := file(t, "retries=2147483647\nenable.idempotence=true\n")
	producer := startVerifiable(t, "verifiable-producer", "--bootstrap-server", p.addr, "--topic", topic, "--throughput", "1000", "--acks", "-1", "--command-config", retries)
	consumer := startVerifiable(t, "verifiable-consumer", "--bootstrap-server", p.addr, "--topic", topic, "--group-id", "verifiers", "--reset-policy", "earliest", "--verbose")
	// works waits until both clients have gone on.
	works := func(when string) {
		sent, read := producer.count(), consumer.count()
		p.eventually(when, func(context.Context) error {
			if s, r := producer.count(), consumer.count(); s < sent+200 || r < read+200 {
				return fmt.Errorf("%d acknowledged, %d consumed since", s-sent, r-read)
			}
			return nil
		})
	}
	works("the beginning")
	leader := func() int { return p.place(p.leader(topic, 0)) }
	controller := func() int { return p.place(p.controller()) }
	for _, bounce := range []struct {
		what  string
		place func() int
		clean bool
	}{{"clean bounce of a leader", leader, true}, {"hard bounce of a leader", leader, false}, {"clean bounce of the controller", controller, true}, {"hard bounce of the controller", controller, false}} {
		for range 2 {
			p.bounce(bounce.place(), bounce.clean, topic, "__consumer_offsets")
			works(bounce.what)
		}
	}
	p.pause(leader(), 11*time.Second) // its session is 9 s
	works("a leader that was stopped for longer than its session")
	p.healed(topic, "__consumer_offsets")
	p.Kill(leader())
	works("a replica down for good")
	acked, failed := producer.stop()
	if len(failed) > 0 {
		t.Errorf("%d records were given up, the first: %s", len(failed), failed[0])
	}
	p.eventually("all that was acknowledged is consumed", func(context.Context) error {
		if n := consumer.count(); n < len(acked) {
			return fmt.Errorf("%d of %d", n, len(acked))
		}
		return nil
	})
	consumed, _ := consumer.stop()
	missing := 0
	for value := range acked {
		if consumed[value] == 0 {
			missing++
		}
	}
	log := p.values(topic)
	doubled := 0
	for value, n := range log {
		if n > 1 {
			t.Logf("%s stands %d times in the log", value, n)
			doubled++
		}
	}
	t.Logf("%d acknowledged, %d in the log, %d consumed", len(acked), len(log), len(consumed))
	if missing > 0 || doubled > 0 {
		t.Errorf("of %d acknowledged values %d were not consumed, %d stand twice in the log", len(acked), missing, doubled)
	}
	if !t.Failed() {
		recordTool("verifiable-producer", "idempotent, through bounces of a leader and of the controller, a stopped leader and a lost replica")
		recordTool("verifiable-consumer", "all that was acknowledged, through the same")
	}
}

// pause stops a process as SIGSTOP does, for some time.
func (p *patient) pause(place int, d time.Duration) {
	p.t.Helper()
	pid := p.PID(place)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	over := time.NewTimer(d)
	<-over.C
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
}

// values reads a topic to its end and says how often each value stands there.
func (p *patient) values(topic string) map[string]int {
	p.t.Helper()
	found := map[string]int{}
	for _, r := range p.records(topic) {
		found[string(r.Value)]++
	}
	return found
}
