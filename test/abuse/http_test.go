package abuse

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHTTPListener attacks the other door: half requests that stall, headers without end, bodies without end, bytes that are not HTTP, paths
// that lead out of the tree. /readyz must go on answering and clients of Kafka notice nothing.
func TestHTTPListener(t *testing.T) {
	tg := attack(t)
	tg.ownProcess(t)
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	var conns []net.Conn
	open := func(text string) net.Conn {
		t.Helper()
		c, err := net.DialTimeout("tcp", tg.node.HTTP, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text) // a broker that hangs up early is right to
		return c
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	for i := range 300 {
		open([]string{"", "GET", "GET /metrics HTTP/1.1\r\nHost: x\r\nA: ", "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx"}[i%4])
	}
	endless := open("GET /readyz HTTP/1.1\r\nHost: x\r\n")
	if _, err := endless.Write(bytes.Repeat([]byte("X-Endless: and on and on and on and on and on\r\n"), 200_000)); err == nil {
		t.Error("10 MB of headers were taken")
	}
	for _, text := range []string{"\x16\x03\x01\x00\xf1", strings.Repeat("\xff", 5000), "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
		_, _ = io.Copy(io.Discard, open(text+"\r\n\r\n"))
	}
	for _, path := range []string{"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/" + strings.Repeat("a", 5000)} {
		c := open("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(c)
		if bytes.Contains(answer, []byte("root:")) || bytes.Contains(answer, []byte(" 200 ")) {
			t.Errorf("GET %.40s: %.200s", path, answer)
		}
	}
	for range 5 {
		resp, err := (&http.Client{Timeout: 5 * time.Second}).Get(fmt.Sprintf("http://%s/readyz", tg.node.HTTP))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("/readyz under attack: %s", resp.Status)
		}
	}
	check()
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}
