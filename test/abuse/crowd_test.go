package abuse

import (
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// crowdAddress is the i-th local address that a crowd comes from. Linux lets all of 127/8 be used.
func crowdAddress(i int) net.IP { return net.IPv4(127, 0, 2, byte(1+i)) }

// needFiles skips the test when the process may not have that many open files, or makes it so that it may.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Skip(err)
	}
	if lim.Max < n {
		t.Skipf("may open %d files, needs %d: raise ulimit -n", lim.Max, n)
	}
	if lim.Cur < n {
		lim.Cur = n
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			t.Skip(err)
		}
	}
}

// connect opens n connections, spread over addresses.
func (tg *target) connect(t *testing.T, n, addresses int) []rawConn {
	t.Helper()
	conns := make([]rawConn, n)
	next := make(chan int)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range next {
				c, err := tg.tryDial(crowdAddress(i % addresses))
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					continue
				}
				conns[i] = c
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	t.Cleanup(func() { closeAll(conns) })
	return conns
}

func closeAll(conns []rawConn) {
	for _, c := range conns {
		if c.TCPConn != nil {
			c.Close()
		}
	}
}

func versionsRequest() *kmsg.ApiVersionsRequest {
	v := kmsg.NewPtrApiVersionsRequest()
	v.Version, v.ClientSoftwareName, v.ClientSoftwareVersion = 3, "abuse", "1"
	return v
}

// TestTenThousandIdleConnections has a crowd that connects and says nothing.
func TestTenThousandIdleConnections(t *testing.T) {
	const crowd = 10_000
	needFiles(t, crowd+500)
	tg := attack(t, "-X", "max.connections=10100", "-X", "max.connection.creation.rate=100000")
	h := tg.serve(t)
	check := tg.watchMemory(t, 200*mib)
	conns := tg.connect(t, crowd, 20)
	h.awaitProgress(t, 20)
	// They are connected, not only waiting in the backlog: any of them is answered.
	for i := 0; i < crowd; i += 97 {
		if _, err := conns[i].ask(versionsRequest()); err != nil {
			t.Fatalf("connection %d of the crowd: %v", i, err)
		}
	}
	check()
	closeAll(conns)
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}

// TestConnectionsPerAddress: who comes with too many connections gets no more, others do, and what is closed is free again.
func TestConnectionsPerAddress(t *testing.T) {
	tg := attack(t, "-X", "max.connections.per.ip=20")
	tg.ownProcess(t)
	h := tg.serve(t)
	conns := tg.connect(t, 20, 1)
	for i, c := range conns {
		if _, err := c.ask(versionsRequest()); err != nil {
			t.Fatalf("connection %d of those allowed: %v", i, err)
		}
	}
	extra := tg.dial(t, crowdAddress(0))
	if !extra.closes(patience) {
		t.Error("one connection too many of an address stays open")
	}
	other := tg.dial(t, crowdAddress(1))
	if _, err := other.ask(versionsRequest()); err != nil {
		t.Errorf("another address: %v", err)
	}
	conns[0].Close()
	served := false
	for deadline := time.Now().Add(patience); !served && time.Now().Before(deadline); {
		c, err := tg.tryDial(crowdAddress(0))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.ask(versionsRequest())
		served = err == nil
		c.Close()
	}
	if !served {
		t.Error("a connection was closed, but its place is not free")
	}
	h.stop(t, 5*time.Second)
}

// TestConnectionLimit: at the limit nobody new is served, those who are there are, and what is closed is free again.
func TestConnectionLimit(t *testing.T) {
	tg := attack(t, "-X", "max.connections=100")
	tg.ownProcess(t)
	h := tg.serve(t)
	conns := tg.connect(t, 150, 2)
	served := 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			b, _ := request(versionsRequest())
			if _, err := c.Write(b); err != nil {
				return
			}
			if _, err := c.readFrame(3 * time.Second); err == nil {
				mu.Lock()
				served++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if served < 80 || served > 100 {
		t.Errorf("%d of the crowd were served at a limit of 100", served)
	}
	h.awaitProgress(t, 20)
	closeAll(conns)
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}

// TestStalledFrames: a crowd announces large requests, sends their beginning, and falls silent. The claim must cost nothing, and after 30
// seconds without a byte the connection must be gone.
func TestStalledFrames(t *testing.T) {
	const crowd = 400
	tg := attack(t)
	tg.ownProcess(t) // Kafka waits for ten minutes
	h := tg.serve(t)
	check := tg.watchMemory(t, 64*mib)
	conns := tg.connect(t, crowd, 4)
	begun := time.Now()
	for i, c := range conns {
		announced := int32(100 * mib)
		b := append(size(announced), header(0, 7, 1)...)
		b = append(b, make([]byte, []int{0, 1, 1000, 5000}[i%4])...)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	h.awaitProgress(t, 50)
	check()
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			if !c.closes(time.Until(begun.Add(45 * time.Second))) {
				t.Errorf("connection %d is still open %s after its last byte", i, time.Since(begun))
			}
		})
	}
	all.Wait()
	if took := time.Since(begun); took < 20*time.Second {
		t.Errorf("all were dropped after %s: a slow client needs longer", took)
	}
	h.stop(t, 5*time.Second)
	tg.checkAlive(t)
}
