package api

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/wire"
)

// changingLog is a log whose leadership is elsewhere until it is told.
type changingLog struct {
	rigLog
	lead, resign func()
	fails        error // of every append
	appends      atomic.Int32
}

func (l *changingLog) Watch(lead func(int32), resign func()) {
	l.lead, l.resign = func() { lead(1) }, resign
}

func (l *changingLog) Append(records []metadata.Record, done func(model.Offset, error)) {
	if _, first := records[0].(*metadata.ActiveController); l.fails != nil && !first {
		l.appends.Add(1)
		done(model.NoOffset, l.fails)
		return
	}
	l.rigLog.Append(records, done)
}

// elected says that this node leads, and at some question after the first lets its controller know.
type elected struct {
	asked atomic.Int32
	l     *changingLog
}

func (e *elected) Here() bool {
	if e.asked.Add(1) == 3 {
		e.l.lead()
	}
	return true
}

func (e *elected) Forward(context.Context, *wire.ForwardRequest) ([]byte, error) {
	return nil, errors.New("nobody else leads")
}

// changingRig has a controller that knows another one to be active.
func changingRig(t *testing.T, fails error) (*rig, *changingLog) {
	l := &changingLog{fails: fails}
	r := adminRig(t, func(o *Options) {
		o.Controller.Close()
		l.r = o.Partitions.(*rig)
		o.Controller = controller.New(controller.Options{Me: me, Log: l, Clock: clock.Real(), Logger: o.Logger, Random: rand.Reader, Resolver: o.Resolver})
		o.Remote = &elected{l: l}
		l.resign()
	})
	return r, l
}

// TestElectedControllerThatIsNotActiveYetKeepsItsClients: they got NOT_CONTROLLER from the only node that could be asked, because it was elected and had
// not begun.
func TestElectedControllerThatIsNotActiveYetKeepsItsClients(t *testing.T) {
	r, _ := changingRig(t, nil)
	if got := ask[*kmsg.CreateTopicsResponse](r.dial(), createRequest(7, "a")); got.Topics[0].ErrorCode != 0 || r.image.Load().Topic("a") == nil {
		t.Errorf("%+v", got)
	}
	r, _ = changingRig(t, nil)
	q, value := kmsg.NewPtrIncrementalAlterConfigsRequest(), "1"
	q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{
		Name: "leader.replication.throttled.rate", Value: &value,
	}}}}
	if got := ask[*kmsg.IncrementalAlterConfigsResponse](r.dial(), at(q, 1)); got.Resources[0].ErrorCode != 0 {
		t.Errorf("%+v", got)
	}
}

// TestForwardedToOneThatIsNotActiveIsRefused as a whole, so that the node that forwarded looks for the active one.
func TestForwardedToOneThatIsNotActiveIsRefused(t *testing.T) {
	r, _ := changingRig(t, nil)
	q := wire.NewCreateTopicsRequest()
	q.Topics = []wire.CreateTopicsRequestTopic{{Name: "a", NumPartitions: 1, ReplicationFactor: 1}}
	got := r.api.Forwarded(t.Context(), nil, &wire.ForwardRequest{Key: int16(wire.KeyCreateTopics), Version: 7, Body: q.Append(nil, 7)})
	if got.ErrorCode != model.NotController || got.Body != nil {
		t.Errorf("%+v", got)
	}
}

// TestWhatMayHaveBeenDecidedIsNotDecidedAgain: leadership was lost while a creation was in flight, and the next leader may have it. A second try would find
// its own topic and say that somebody else made it.
func TestWhatMayHaveBeenDecidedIsNotDecidedAgain(t *testing.T) {
	r, l := changingRig(t, quorum.ErrNotLeader)
	got := ask[*kmsg.CreateTopicsResponse](r.dial(), createRequest(7, "a"))
	if len(got.Topics) != 1 || got.Topics[0].ErrorCode != int16(model.NotController) || l.appends.Load() != 1 {
		t.Errorf("%+v after %d tries", got, l.appends.Load())
	}
}
