package klammtest_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/node"
)

// TestClusterIDOfKafkasImages: CLUSTER_ID names the cluster that is formed, whoever forms it, and refuses any other.
func TestClusterIDOfKafkasImages(t *testing.T) {
	const id, another = "4L6g3nShT-eMCtK--X86sw", "AAAAAAAAAAAAAAAAAAAAAQ"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	flags := func(cluster string) node.Flags {
		return node.Flags{
			Data: t.TempDir(), Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Environ: []string{"CLUSTER_ID=" + cluster}, Stderr: &strings.Builder{},
		}
	}
	clusterOf := func(n *node.Node) string {
		t.Helper()
		cl, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		m, err := kadm.NewClient(cl).BrokerMetadata(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m.Cluster
	}
	stop := func(n *node.Node) {
		t.Helper()
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
	refused := func(f node.Flags) {
		t.Helper()
		n, err := node.Start(ctx, f)
		if err == nil {
			stop(n)
		}
		if err == nil || !strings.Contains(err.Error(), "belongs to cluster "+id+", but CLUSTER_ID is "+another) {
			t.Errorf("started with %v", err)
		}
	}

	// A node alone.
	f := flags(id)
	n, err := node.Start(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	if got := clusterOf(n); got != id {
		t.Errorf("cluster %s", got)
	}
	joins := flags(another)
	joins.Join = n.NodeAddr()
	refused(joins)
	stop(n)
	f.Environ = []string{"CLUSTER_ID=" + another}
	refused(f)
	f.Environ = []string{"CLUSTER_ID=prod"} // of something else
	if n, err = node.Start(ctx, f); err != nil {
		t.Fatal(err)
	}
	stop(n)
	if log := f.Stderr.(*strings.Builder).String(); !strings.Contains(log, "CLUSTER_ID=prod is no cluster id") {
		t.Error(log)
	}

	// Two founders.
	var sockets []net.Listener
	var addrs []string
	for range 2 {
		s, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sockets, addrs = append(sockets, s), append(addrs, s.Addr().String())
	}
	type started struct {
		n   *node.Node
		err error
	}
	both := make(chan started, 2)
	for i := range 2 {
		f := flags(id)
		f.NodeListen, f.NodeSocket, f.Join = addrs[i], sockets[i], strings.Join(addrs, ",")
		go func() {
			n, err := node.Start(ctx, f)
			both <- started{n, err}
		}()
	}
	var nodes []*node.Node
	for range 2 {
		s := <-both
		if s.err != nil {
			t.Fatal(s.err)
		}
		nodes = append(nodes, s.n)
	}
	if got := []string{clusterOf(nodes[0]), clusterOf(nodes[1])}; !slices.Equal(got, []string{id, id}) {
		t.Errorf("clusters %v", got)
	}
	for _, n := range nodes {
		stop(n)
	}
}
