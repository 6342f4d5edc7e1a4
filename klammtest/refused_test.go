package klammtest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/internal/wire"
	"github.com/klamm/klamm/klammtest"
)

// TestNewerMetadataIsRefused: a node whose cluster runs a feature at a level that its software does not have could misread what follows (M7).
func TestNewerMetadataIsRefused(t *testing.T) {
	b := klammtest.NewBroker(t)
	b.Stop()
	// What a newer version would have written.
	raw, err := os.ReadFile(filepath.Join(b.DataDir(), "meta.properties"))
	if err != nil {
		t.Fatal(err)
	}
	props := string(raw)
	dir, err := model.ParseUUID(regexp.MustCompile(`directory\.id=(\S+)`).FindStringSubmatch(props)[1])
	if err != nil {
		t.Fatal(err)
	}
	q, err := quorum.Open(quorum.Options{
		FS: vfs.OS(), Clock: clock.Real(), Logger: slog.New(slog.DiscardHandler), Dir: filepath.Join(b.DataDir(), "klamm-metadata"),
		Identity: quorum.Identity{ClusterID: regexp.MustCompile(`cluster\.id=(\S+)`).FindStringSubmatch(props)[1], NodeID: 1, DirectoryID: dir},
		Publish:  func(*metadata.Image, *metadata.Delta) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := q.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Propose(ctx, []metadata.Record{&metadata.FeatureLevel{Name: metadata.KlammVersion, Level: 99}}); err == nil {
		t.Fatal("this version reads it")
	}
	_ = q.Close() // it has failed
	n, err := node.Start(ctx, node.Flags{Data: b.DataDir(), Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Stderr: &strings.Builder{}})
	if err == nil {
		_ = n.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "level that this version of Klamm does not support") || !strings.Contains(err.Error(), "klamm.version at level 99") {
		t.Errorf("started with %v", err)
	}
}

// TestDifferentJoinListsSaySo: founders that were not told the same wait, and name the one that was told something else.
func TestDifferentJoinListsSaySo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var sockets []net.Listener
	var addrs []string
	for range 2 {
		s, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sockets, addrs = append(sockets, s), append(addrs, s.Addr().String())
	}
	third := freeAddr(t)
	lists := []string{strings.Join(addrs, ","), strings.Join(append(slices.Clone(addrs), third), ",")}
	https := []string{freeAddr(t), freeAddr(t)}
	stop, end := context.WithCancel(ctx)
	ended := make(chan error, 2)
	for i := range 2 {
		go func() {
			n, err := node.Start(stop, node.Flags{
				Data: t.TempDir(), Listen: "127.0.0.1:0", HTTPListen: https[i], NodeListen: addrs[i], NodeSocket: sockets[i], Join: lists[i], Stderr: &strings.Builder{},
			})
			if err == nil {
				err = fmt.Errorf("it started: %w", n.Stop())
			}
			ended <- err
		}()
	}
	for i := range 2 {
		eventually(ctx, t, "says that the lists differ", func() error {
			got, err := getHTTP(ctx, https[i], "/readyz")
			if err == nil && !strings.Contains(got, "node at "+addrs[1-i]+" has another list of founders: ") && !strings.Contains(got, "waiting for "+third) {
				err = fmt.Errorf("%q", got)
			}
			return err
		})
	}
	end()
	for range 2 {
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "looking for a cluster") {
			t.Errorf("ended with %v", err)
		}
	}
}

// TestRandomBytesOnTheNodePort of a cluster at work: nothing grows, nobody notices.
func TestRandomBytesOnTheNodePort(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := klammtest.NewCluster(t)
	cl := clusterClient(t, c)
	adm := kadm.NewClient(cl)
	makeTopic(ctx, t, adm, "t", 1)
	l := startLoad(t, c, "t", 1)
	before := awaitMembers(ctx, t, cl, "voters [1 2 3], observers []")
	var brokers kadm.Metadata
	eventually(ctx, t, "three brokers", func() (err error) {
		if brokers, err = adm.Metadata(ctx); err == nil && len(brokers.Brokers) != 3 {
			err = fmt.Errorf("%v", brokers.Brokers.NodeIDs())
		}
		return err
	})
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	heap, goroutines := mem.HeapAlloc, runtime.NumGoroutine()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range 600 {
		if err := attack(rng, c.NodeAddrs()[i%3], brokers.Cluster, i); err != nil {
			t.Fatalf("seed %d, try %d: %v", seed, i, err)
		}
	}
	after, err := membersOf(ctx, cl)
	if err != nil || after.String() != before.String() || after.leader != before.leader {
		t.Errorf("seed %d: was %v led by %d, is %v led by %d, %v", seed, before, before.leader, after, after.leader, err)
	}
	if now, err := adm.Metadata(ctx); err != nil || fmt.Sprint(now.Brokers.NodeIDs()) != fmt.Sprint(brokers.Brokers.NodeIDs()) {
		t.Errorf("seed %d: brokers %v, %v", seed, now.Brokers.NodeIDs(), err)
	}
	eventually(ctx, t, "goroutines end", func() error {
		if n := runtime.NumGoroutine(); n > goroutines+30 {
			return fmt.Errorf("%d goroutines, %d before", n, goroutines)
		}
		return nil
	})
	l.check(c)
	runtime.GC()
	if runtime.ReadMemStats(&mem); mem.HeapAlloc > heap+64<<20 {
		t.Errorf("seed %d: the heap grew from %d to %d MiB", seed, heap>>20, mem.HeapAlloc>>20)
	}
}

// attack opens a connection, says Hello as nobody, as a new node or as a member, or not at all, and sends bytes that mean nothing. The node must end it.
func attack(rng *rand.Rand, addr, cluster string, i int) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	var b []byte
	if i%3 > 0 {
		q := wire.NewHelloRequest()
		q.NodeID, q.DirectoryID = 77, model.UUID{77, byte(i)}
		if i%3 == 2 {
			q.ClusterID = &cluster
		}
		b = frame(wire.KeyHello, q.Append(nil, 0))
	}
	for range 1 + rng.IntN(3) {
		body := make([]byte, rng.IntN(3000))
		switch fill := byte(rng.IntN(4)); fill {
		case 0:
			for j := range body {
				body[j] = byte(rng.Uint32())
			}
		case 1: // the largest of everything
			for j := range body {
				body[j] = 0xff
			}
		case 2:
			for j := range body {
				body[j] = 0x7f
			}
		default: // nothing, at length
		}
		if rng.IntN(4) > 0 {
			body = frame(wire.Key(1000+rng.IntN(22)), body)
		}
		b = append(b, body...)
	}
	_, _ = nc.Write(b) // it may have had enough before the end
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if err := nc.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, nc); err != nil && strings.Contains(err.Error(), "timeout") {
		return fmt.Errorf("the connection stays open: %w", err)
	}
	return nil
}

// frame is a request as it goes over the wire.
func frame(key wire.Key, body []byte) []byte {
	h := wire.RequestHeader{Key: key, CorrelationID: 1}
	b := append(h.Append([]byte{0, 0, 0, 0}), body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}
