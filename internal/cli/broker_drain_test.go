package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestWhatCannotLeaveABroker is named, and holds up nothing else.
func TestWhatCannotLeaveABroker(t *testing.T) {
	now := []partitionState{
		{Topic: "fine", Leader: 1, Replicas: []int32{1, 4}, ISR: []int32{1}, offline: []int32{4}},
		{Topic: "lone", Leader: -1, Replicas: []int32{4}, ISR: []int32{4}, offline: []int32{4}},
		{Topic: "none", Leader: -1, Replicas: []int32{4, 1}, ISR: []int32{}, offline: []int32{4}},
		{Topic: "electing", Leader: -1, Replicas: []int32{4, 1}, ISR: []int32{4, 1}, offline: []int32{4}},
		{Topic: "going", Leader: 1, Replicas: []int32{1, 4, 2}, ISR: []int32{1, 4}, Adding: []int32{2}, Removing: []int32{4}},
		{Topic: "astray", Leader: 1, Replicas: []int32{1, 4, 3}, ISR: []int32{1, 4}, Adding: []int32{3}, Removing: []int32{4}, offline: []int32{3}},
		{Topic: "elsewhere", Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1}, Adding: []int32{2}, Removing: []int32{1}},
	}
	parts, stuck, err := drainable(now, 4)
	if err != nil {
		t.Fatal(err)
	}
	var plan []string
	for _, p := range parts {
		plan = append(plan, p.Topic)
	}
	if got := strings.Join(plan, " "); got != "fine electing elsewhere" {
		t.Errorf("planned with %s", got)
	}
	var f *fault
	if err := cannotMove(4, stuck); !errors.As(err, &f) || f.code != ExitError {
		t.Fatal(err)
	}
	if got, want := f.Error(), "broker 4 still has 3 partitions that cannot move: lone-0: nobody leads it while broker 4 is away or has a failed directory\n"+
		"none-0: nobody leads it while broker 4 is away or has a failed directory\n"+
		"astray-0: it goes to broker 3, which is away"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// A move that leaves a replica there has to end first.
	_, _, err = drainable([]partitionState{{Topic: "t", Leader: 4, Replicas: []int32{4, 2}, ISR: []int32{4}, Adding: []int32{2}}}, 4)
	if err == nil || !strings.Contains(err.Error(), "t-0 is on the move") {
		t.Error(err)
	}
	// Nobody moves what came after the plan was made.
	late := partitionState{Topic: "late", Leader: 4, Replicas: []int32{4}, ISR: []int32{4}, planned: true}
	if got := progressLine(4, []partitionState{late}, []partitionState{late}); got != "broker 4 still has 1 partition: late-0; 1 cannot move: late-0: nothing moves it; drain broker 4 again" {
		t.Error(got)
	}
}

// TestTellerSaysChangesAndThatItStillWaits: a command that waits was silent where nobody sits at a terminal, and wrote two lines a second where somebody did.
func TestTellerSaysChangesAndThatItStillWaits(t *testing.T) {
	var out bytes.Buffer
	tell := &teller{out: &out}
	begin := time.Now()
	for i := range 20 { // ten seconds
		n := 3
		if i > 3 {
			n = 2
		}
		tell.say(begin.Add(time.Duration(i)*lookAgain), "%d left", n)
	}
	if got := out.String(); got != "3 left\n2 left\n2 left\n" {
		t.Errorf("%q", got)
	}
}
