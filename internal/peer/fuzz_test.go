package peer_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// FuzzNodePort sends anything, before Hello, after that of a new node and after a member's. Whatever it is, the connection ends when the other end has
// closed its half, and nothing panics.
func FuzzNodePort(f *testing.F) {
	for _, q := range []wire.Request{
		&wire.RaftRequest{From: 2, To: 1, DirectoryID: model.UUID{2}, Messages: []wire.RaftRequestMessage{{Body: []byte("m")}}}, &wire.JoinRequest{DirectoryID: model.UUID{2}},
		&wire.RegisterBrokerRequest{BrokerID: 2}, &wire.BrokerHeartbeatRequest{BrokerID: 2}, &wire.AlterISRRequest{Partitions: []wire.AlterISRRequestPartition{{}}},
		&wire.AllocateProducerIDsRequest{}, &wire.ForwardRequest{Key: 19, Body: []byte{1}}, &wire.EventsRequest{Limit: 1 << 30}, &wire.HelloRequest{},
	} {
		for greeted := range byte(3) {
			f.Add(greeted, framed(q))
		}
	}
	n := start(f)
	f.Fuzz(func(t *testing.T, greeted byte, b []byte) {
		nc, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		l := &link{t: t, nc: nc}
		switch greeted % 3 {
		case 1:
			l.call(hello("", -1, model.UUID{2}), &wire.HelloResponse{})
		case 2:
			l.call(hello(ours, 2, model.UUID{2}), &wire.HelloResponse{})
		}
		if _, err := nc.Write(b); err != nil {
			return // it has had enough
		}
		_ = nc.(*net.TCPConn).CloseWrite() // it may have closed already
		if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, nc); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection stays open")
			}
		}
	})
}
