package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func get(t *testing.T, h http.Handler, path, remote string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = remote
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestRoutes(t *testing.T) {
	reg := prometheus.NewRegistry()
	up := prometheus.NewGauge(prometheus.GaugeOpts{Name: "klamm_up", Help: "test"})
	reg.MustRegister(up)
	up.Set(1)
	ready := false
	h := New(Options{
		Checks: func() []Check {
			return []Check{{Name: "log dirs", OK: true, Detail: "1 of 1"}, {Name: "metadata", OK: ready, Detail: "no leader"}}
		},
		Notes:   func() []Check { return []Check{{Name: "in sync", Detail: "t-0 lacks broker 2"}} },
		Started: func() bool { return ready },
		Metrics: reg,
		Index:   func() string { return "klamm\n" },
	})
	const near, far = "127.0.0.1:1", "192.0.2.1:1"
	for _, c := range []struct {
		ready        bool
		path, remote string
		code         int
		want         string
	}{
		{false, "/livez", far, 200, "ok"},
		{false, "/readyz", far, 503, "[-] metadata: no leader\nnot ready"},
		{false, "/startupz", far, 503, "starting"},
		{true, "/readyz", far, 200, "ready\n"},
		{true, "/readyz?verbose", far, 200, "[+] log dirs: 1 of 1\n[+] metadata: no leader\n[!] in sync: t-0 lacks broker 2\nready"},
		{true, "/startupz", far, 200, "ok"},
		{true, "/metrics", far, 200, "klamm_up 1"},
		{true, "/", far, 200, "klamm"},
		{true, "/nothing", far, 404, ""},
		{true, "/debug/pprof/", far, 403, "loopback"},
		{true, "/debug/pprof/", near, 200, "goroutine"},
	} {
		ready = c.ready
		code, body := get(t, h, c.path, c.remote)
		if code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("GET %s from %s: %d %q, want %d with %q", c.path, c.remote, code, body, c.code, c.want)
		}
	}
}
