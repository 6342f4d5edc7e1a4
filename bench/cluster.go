package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterNodes is how many nodes the rows for a cluster have, and how many replicas their partitions.
const clusterNodes = 3

// join makes nodes one side.
func (b *broker) join(nodes []*node) {
	b.nodes, b.addr, b.pid = nodes, nodes[0].addr, nodes[0].pid
	b.stop = func(kill bool) error {
		errs := make(chan error, len(nodes))
		for _, n := range nodes {
			go func() { errs <- n.stop(kill) }()
		}
		var err error
		for range nodes {
			err = errors.Join(err, <-errs)
		}
		return err
	}
}

// klammCluster is how the nodes of a cluster are started, and started again.
type klammCluster struct {
	*broker
	bin   string
	join  string
	ports []string // node ports
	extra []string
}

// startKlammCluster forms a cluster from nothing and returns when every node knows of all.
func startKlammCluster(bin, dir string, extra ...string) (*klammCluster, error) {
	c := &klammCluster{broker: &broker{name: "klamm", dir: dir, made: map[string]bool{}}, bin: bin, extra: extra}
	addrs := []string{}
	for range clusterNodes {
		for _, list := range []*[]string{&addrs, &c.ports} {
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			*list = append(*list, fmt.Sprintf("127.0.0.1:%d", port))
		}
	}
	c.join = strings.Join(c.ports, ",")
	begun := time.Now()
	nodes := make([]*node, clusterNodes)
	for i := range nodes {
		var err error
		if nodes[i], err = c.exec(i, addrs[i]); err != nil {
			return nil, err
		}
	}
	c.broker.join(nodes)
	for _, a := range addrs {
		if _, err := awaitAccept(a, begun, 30*time.Second); err != nil {
			return nil, errors.Join(fmt.Errorf("klamm: %w", err), c.stop(true), errors.New(c.logs()))
		}
	}
	err := c.connect()
	c.ready = time.Since(begun)
	if err != nil {
		return nil, errors.Join(err, c.stop(true), errors.New(c.logs()))
	}
	return c, nil
}

// logs are the last lines of every node.
func (c *klammCluster) logs() string {
	var b strings.Builder
	for i := range clusterNodes {
		text, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprint("node", i+1), "server.log"))
		fmt.Fprintf(&b, "node %d: %s\n%s\n", i+1, text[max(0, len(text)-2000):], errors.Join(err))
	}
	return b.String()
}

func (c *klammCluster) exec(i int, addr string) (*node, error) {
	return execKlamm(allCPUs, c.bin, filepath.Join(c.dir, fmt.Sprint("node", i+1)), append([]string{"--listen", addr, "--node-listen", c.ports[i], "--join", c.join}, c.extra...)...)
}

// restart runs a node that was stopped again, and returns when it serves.
func (c *klammCluster) restart(i int) error {
	begun := time.Now()
	n, err := c.exec(i, c.nodes[i].addr)
	if err != nil {
		return err
	}
	c.nodes[i] = n
	_, err = awaitAccept(n.addr, begun, 30*time.Second)
	return err
}

// awaitNodes returns when every node names all of them.
func (b *broker) awaitNodes() error {
	deadline := time.Now().Add(time.Minute)
	for _, n := range b.nodes {
		for {
			ids, err := brokersAt(n.addr)
			if err == nil && len(ids) == len(b.nodes) {
				b.identify(ids)
				break
			}
			if time.Now().After(deadline) {
				return errors.Join(fmt.Errorf("%s: node %s knows %d nodes", b.name, n.addr, len(ids)), err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// brokersAt asks one node whom it knows: ids by address.
func brokersAt(addr string) (map[string]int32, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 8, []kmsg.MetadataRequestTopic{}
	if _, err := nc.Write(frame(req)); err != nil {
		return nil, err
	}
	if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	var buf []byte
	body, err := readFrame(bufio.NewReader(nc), &buf)
	if err != nil {
		return nil, err
	}
	resp := kmsg.NewPtrMetadataResponse()
	resp.Version = req.Version
	if err := resp.ReadFrom(body[4:]); err != nil {
		return nil, err
	}
	out := map[string]int32{}
	for _, n := range resp.Brokers {
		out[fmt.Sprintf("%s:%d", n.Host, n.Port)] = n.NodeID
	}
	return out, nil
}

func (b *broker) identify(ids map[string]int32) {
	for _, n := range b.nodes {
		n.id = ids[n.addr]
	}
}

// spread assigns partitions to nodes: the first replica, which leads, goes round; both systems get the same.
func (b *broker) spread(partitions int) [][]int32 {
	out := make([][]int32, partitions)
	for p := range out {
		out[p] = b.replicasFrom(p)
	}
	return out
}

// ledBy assigns all partitions such that one node leads them.
func (b *broker) ledBy(node, partitions int) [][]int32 {
	out := make([][]int32, partitions)
	for p := range out {
		out[p] = b.replicasFrom(node)
	}
	return out
}

func (b *broker) replicasFrom(first int) []int32 {
	n := len(b.nodes)
	out := make([]int32, 0, n)
	for i := range n {
		out = append(out, b.nodes[(first+i)%n].id)
	}
	return out
}

// create makes a topic with the given replicas.
func (b *broker) create(ctx context.Context, name string, replicas [][]int32, configs map[string]string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	for p, ids := range replicas {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(p), ids
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	for k, v := range configs {
		if k == durability && b.name != "klamm" {
			continue
		}
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, b.kgo)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// durability is Klamm's own topic setting; Kafka would refuse it.
const durability = "log.durability"

// leaders are the addresses of a topic's leaders by partition.
func (b *broker) leaders(topic string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := b.admin.Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	by := map[int32]string{}
	for _, n := range m.Brokers {
		by[n.NodeID] = fmt.Sprintf("%s:%d", n.Host, n.Port)
	}
	out := make([]string, len(m.Topics[topic].Partitions))
	for p, d := range m.Topics[topic].Partitions {
		out[p] = by[d.Leader]
	}
	if slices.Contains(out, "") {
		return nil, fmt.Errorf("%s: %s has partitions without a leader", b.name, topic)
	}
	return out, nil
}
