package cluster

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"flag"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var seed = flag.Uint64("seed", 0, "the seed to run")
var traceTo = flag.Bool("trace", false, "print the trace")

func TestSeed(t *testing.T) {
	debug.SetGCPercent(-1)
	runtime.MemProfileRate = 0
	runtime.GOMAXPROCS(1)
	seedRuntime(*seed)
	real0 := time.Now()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		defer func() {
			if *traceTo {
				os.Stdout.Write(out.Bytes())
			}
		}()
		o := Options{Seed: *seed, Machines: 3, config: map[string]string{"klamm.log.level": "info", "offsets.topic.num.partitions": "3"}}
		s := New(o, &out)
		crand.Reader = s.entropy()
		if os.Getenv("SIMNET") != "" {
			s.net.heard = func(from, to netip.Addr, g segment, due time.Time) {
				h := fnv.New32a()
				h.Write(g.b)
				s.trace("net %v %v %d %x %v %x", from, to, len(g.b), h.Sum32(), g.err, g.b[:min(len(g.b), 12)])
			}
		}
		for _, m := range s.machines {
			m.start()
		}
		for _, m := range s.machines {
			for m.ready() == nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
		s.trace("formed")
		h := s.net.Boot(netip.MustParseAddr("10.0.1.1"), &gate{})
		cl, err := kgo.NewClient(kgo.SeedBrokers("10.0.0.1:9092"), kgo.Dialer(func(ctx context.Context, n, a string) (net.Conn, error) { return h.DialContext(ctx, n, a) }))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 4, 3, nil, "t"); err != nil {
			t.Fatal(err)
		}
		s.trace("created")
		stop := time.Now().Add(60 * time.Second)
		n := 0
		for time.Now().Before(stop) {
			r := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("hello")})
			if err := r.FirstErr(); err != nil {
				s.trace("%v", err)
			} else {
				n++
			}
			if n == 200 {
				s.machines[0].end(kill)
			}
			if n == 400 {
				s.machines[0].start()
			}
			time.Sleep(10 * time.Millisecond)
		}
		cl.Close()
		s.trace("produced %d", n)
		for _, m := range s.machines {
			if err := m.stop(); err != nil {
				s.trace("stop %v", err)
			}
		}
		s.zombies.Wait()
		s.trace("end")
		fmt.Printf("seed %d hash %x events %d sim %v\n", *seed, s.mu.hash, s.mu.events, time.Since(s.begin))
	})
	fmt.Println("real", time.Since(real0))
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Println("alloc MB", ms.TotalAlloc>>20)
}
