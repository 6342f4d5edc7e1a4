package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one condition of readiness.
type Check struct {
	Name   string
	OK     bool
	Detail string // why not, or what is worth knowing
}

// Options is what node plugs in.
type Options struct {
	// Checks are looked at on every request; the node is ready when all are OK.
	Checks func() []Check
	// Started reports that the node has been ready once.
	Started func() bool
	// Metrics is served at /metrics.
	Metrics prometheus.Gatherer
	// Events is served at /api/v1/events.
	Events EventSource
	// Notes are things worth knowing that do not make the node less ready: they are listed with ?verbose only.
	Notes func() []Check
	// Index is the text of the page at /.
	Index func() string
}

// New builds the handler of the HTTP listener.
//
//	GET /livez           200 while the process answers
//	GET /readyz          200 when every check holds, else 503; ?verbose lists them
//	GET /startupz        200 once the node has been ready
//	GET /metrics         Prometheus text format
//	GET /api/v1/events   what happened to the cluster and why; ?since=TIME, ?limit=N, ?node=local
//	GET /debug/pprof/    Go profiles, to callers on the same machine only
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", o.ready)
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, _ *http.Request) {
		if o.Started() {
			plain(w, http.StatusOK, "ok\n")
			return
		}
		plain(w, http.StatusServiceUnavailable, "starting\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /api/v1/events", o.events)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, o.Index()) })
	mux.Handle("GET /debug/pprof/", local(pprof.Index))
	mux.Handle("GET /debug/pprof/cmdline", local(pprof.Cmdline))
	mux.Handle("GET /debug/pprof/profile", local(pprof.Profile))
	mux.Handle("GET /debug/pprof/symbol", local(pprof.Symbol))
	mux.Handle("GET /debug/pprof/trace", local(pprof.Trace))
	return mux
}

func (o Options) ready(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	_, verbose := r.URL.Query()["verbose"]
	var text strings.Builder
	for _, c := range o.Checks() {
		mark := "+"
		if !c.OK {
			mark, status = "-", http.StatusServiceUnavailable
		}
		if verbose || !c.OK {
			c.write(&text, mark)
		}
	}
	if verbose && o.Notes != nil {
		for _, c := range o.Notes() {
			mark := "+"
			if !c.OK {
				mark = "!"
			}
			c.write(&text, mark)
		}
	}
	if status == http.StatusOK {
		text.WriteString("ready\n")
	} else {
		text.WriteString("not ready\n")
	}
	plain(w, status, text.String())
}

func (c *Check) write(to *strings.Builder, mark string) {
	fmt.Fprintf(to, "[%s] %s", mark, c.Name)
	if c.Detail != "" {
		to.WriteString(": " + c.Detail)
	}
	to.WriteByte('\n')
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// local lets only callers on this machine in: profiles show command lines and memory.
func local(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			plain(w, http.StatusForbidden, "profiles are served on the loopback interface only\n")
			return
		}
		h(w, r)
	})
}
