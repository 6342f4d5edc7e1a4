package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/klamm/klamm/internal/event"
	"github.com/klamm/klamm/internal/model"
)

// EventQuery says which events are asked for.
type EventQuery struct {
	Since time.Time // none older
	Limit int       // the newest, of each node
	Local bool      // of this node alone
}

// Events are the answer of one or all nodes, oldest first.
type Events struct {
	List    []event.Event
	Missing []Missing // nodes that could not be asked
}

// Missing is a node whose events are not there.
type Missing struct {
	Node model.BrokerID
	Err  error
}

const (
	defaultEvents = 1000
	maxEvents     = 10_000
)

type eventJSON struct {
	Time      time.Time `json:"time"`
	Node      int32     `json:"node"`
	Kind      string    `json:"kind"`
	Reason    string    `json:"reason,omitempty"`
	Broker    *int32    `json:"broker,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Partition *int32    `json:"partition,omitempty"`
	Text      string    `json:"text"`
}

type missingJSON struct {
	Node  int32  `json:"node"`
	Error string `json:"error"`
}

func (o Options) events(w http.ResponseWriter, r *http.Request) {
	q := EventQuery{Limit: defaultEvents, Local: r.URL.Query().Get("node") == "local"}
	if s := r.URL.Query().Get("since"); s != "" {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			plain(w, http.StatusBadRequest, "since is no time as in RFC 3339: "+strconv.Quote(s)+"\n")
			return
		}
		q.Since = t
	}
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxEvents {
			plain(w, http.StatusBadRequest, "limit is a number from 1 to "+strconv.Itoa(maxEvents)+"\n")
			return
		}
		q.Limit = n
	}
	got := o.Events(r.Context(), q)
	slices.SortStableFunc(got.List, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	got.List = got.List[max(0, len(got.List)-q.Limit):]
	out := struct {
		Events  []eventJSON   `json:"events"`
		Missing []missingJSON `json:"missing,omitempty"`
	}{Events: make([]eventJSON, len(got.List))}
	for i := range got.List {
		out.Events[i] = toJSON(&got.List[i])
	}
	for _, m := range got.Missing {
		out.Missing = append(out.Missing, missingJSON{int32(m.Node), m.Err.Error()})
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(out) // a caller that went away is told nothing
}

func toJSON(e *event.Event) eventJSON {
	j := eventJSON{Time: e.Time.UTC(), Node: int32(e.Node), Kind: string(e.Kind), Reason: e.Reason, Topic: e.Topic, Text: e.Text}
	if e.Broker != model.NoBroker {
		j.Broker = new(int32(e.Broker))
	}
	if e.Topic != "" {
		j.Partition = new(e.Partition)
	}
	return j
}

// EventSource collects events. The context ends when the caller goes away.
type EventSource func(context.Context, EventQuery) Events
