package node

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// TestOldMetadataMakesNoLeader: a node that starts leads nothing before its new registration is in the metadata. After a power cut of all nodes,
// a leader that led on in its old epoch wrote over offsets at which followers had kept other records of that epoch.
func TestOldMetadataMakesNoLeader(t *testing.T) {
	before, now := model.UUID{1}, model.UUID{2}
	topic := model.TopicID{1}
	p := metadata.Partition{Leader: 1, LeaderEpoch: 7, Replicas: []model.BrokerID{1, 2}, ISR: []model.BrokerID{1, 2}}
	img, _, err := metadata.Empty("c").Apply(1, []metadata.Record{
		(&metadata.Broker{ID: 1, Epoch: 1, Incarnation: before}).Record(), &metadata.TopicRecord{TopicID: topic, Name: "t"}, p.Record(topic, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{}
	n.me, n.incarnation = 1, now
	if n.leads(img, &img.Topic("t").Partitions[0]) {
		t.Error("it leads in the epoch of the process before it")
	}
	if img, _, err = img.Apply(2, []metadata.Record{(&metadata.Broker{ID: 1, Epoch: 2, Incarnation: now}).Record()}); err != nil {
		t.Fatal(err)
	}
	if !n.leads(img, &img.Topic("t").Partitions[0]) {
		t.Error("it does not lead once it is registered")
	}
	n.me = 2
	if n.leads(img, &img.Topic("t").Partitions[0]) {
		t.Error("it leads what another does")
	}
}

// TestControllerThatFailsMeanwhileIsAskedAgain: a node that registered with a controller whose disk failed just then was told that what became of it is open
// (REQUEST_TIMED_OUT), and ended itself instead of asking the next one.
func TestControllerThatFailsMeanwhileIsAskedAgain(t *testing.T) {
	for _, tc := range []struct {
		err                   error
		retriable, repeatable bool
	}{
		{remoteError(model.RequestTimedOut, nil), false, true},
		{remoteError(model.NotController, nil), true, true},
		{fmt.Errorf("sent: %w", client.ErrBroken), false, true},
		{fmt.Errorf("dial: %w", client.ErrUnreachable), true, true},
		{context.DeadlineExceeded, false, true},
		{remoteError(model.DuplicateBrokerRegistration, nil), false, false},
		{errors.New("something else"), false, false},
	} {
		if got := retriable(tc.err); got != tc.retriable {
			t.Errorf("%v: retriable %v", tc.err, got)
		}
		if got := repeatable(tc.err); got != tc.repeatable {
			t.Errorf("%v: repeatable %v", tc.err, got)
		}
	}
}
