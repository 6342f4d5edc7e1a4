package admin

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/event"
)

func TestEvents(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var asked EventQuery
	h := New(Options{
		Metrics: prometheus.NewRegistry(),
		Events: func(_ context.Context, q EventQuery) Events {
			asked = q
			return Events{
				List: []event.Event{
					{Time: at.Add(time.Second), Node: 2, Kind: event.Left, Reason: "silent", Broker: 3, Topic: "t", Partition: 0, Text: "later"},
					{Time: at, Node: 1, Kind: event.Active, Broker: -1, Partition: -1, Text: "first"},
				},
				Missing: []Missing{{3, errors.New("gone")}},
			}
		},
	})
	code, body := get(t, h, "/api/v1/events?since=2026-11-24T11:00:00Z&limit=2", "127.0.0.1:1")
	want := `{"events":[{"time":"2026-11-24T12:00:00Z","node":1,"kind":"controller-active","text":"first"},` +
		`{"time":"2026-11-24T12:00:01Z","node":2,"kind":"isr-left","reason":"silent","broker":3,"topic":"t","partition":0,"text":"later"}],` +
		`"missing":[{"node":3,"error":"gone"}]}` + "\n"
	if code != 200 || body != want {
		t.Errorf("%d %s", code, body)
	}
	if asked.Limit != 2 || asked.Local || !asked.Since.Equal(at.Add(-time.Hour)) {
		t.Errorf("asked %+v", asked)
	}
	if _, body = get(t, h, "/api/v1/events?limit=1&node=local", "127.0.0.1:1"); !asked.Local {
		t.Error("not local")
	}
	var one struct{ Events []struct{ Text string } }
	if err := json.Unmarshal([]byte(body), &one); err != nil || len(one.Events) != 1 || one.Events[0].Text != "later" {
		t.Errorf("%s %v", body, err)
	}
	for _, bad := range []string{"limit=0", "limit=x", "limit=1000000", "since=yesterday"} {
		if code, body := get(t, h, "/api/v1/events?"+bad, "127.0.0.1:1"); code != 400 {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
}
