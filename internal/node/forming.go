package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/client"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/vfs"
	"github.com/klamm/klamm/internal/wire"
)

// How a node without an identity finds its cluster: RFC 0001, "Forming".

// place is what a new node found.
type place struct {
	identity
	founders  []quorum.Member // of a cluster that several found together
	joins     bool            // a cluster that there is already
	members   []quorum.Member // of that, as far as it is known
	directory model.UUID      // zero when it has one, or may draw one
	settled   bool            // it had its place before this start
}

// identify finds out who this node is: what its data directory says, or a new cluster of one, or what the nodes of --join agree on.
func (n *Node) identify(ctx context.Context, s *settings) (*place, error) {
	configured := configuredID(s.static)
	id, err := readIdentity(n.disk, s.dirs, configured)
	if err == nil && id.cluster != "" {
		err = s.otherCluster(id.cluster, "the data directory "+s.dirs[0]+" belongs")
	}
	if err != nil || id.cluster != "" && !n.drafted(s.dirs[0]) {
		return &place{identity: id, settled: true}, err
	}
	if len(s.join) == 0 {
		u, err := drawID(n.random)
		return &place{identity: identity{cmp.Or(s.cluster, u.String()), max(configured, firstNode)}}, err
	}
	w := &newcomer{n: n, configured: configured, list: s.join, founder: n.links.listed, wanted: s}
	if w.directory, err = n.draftDirectory(s.dirs[0]); err != nil {
		return nil, err
	}
	n.links.mu.Lock()
	n.links.mu.standing.directory = w.directory
	if w.founder {
		n.links.mu.standing.founders = w.claim() // both at once: the others count on the pair
	}
	n.links.mu.Unlock()
	found, err := w.find(ctx)
	if err != nil {
		return nil, err
	}
	found.directory = w.directory
	n.log.Info("cluster found", "cluster", found.cluster, "node", found.node, "founder", found.founders != nil)
	return found, nil
}

// founders are the first voters of a cluster that is to be formed.
func (n *Node) founders(found *place) []quorum.Member {
	if found.joins || found.founders != nil {
		return found.founders
	}
	me := quorum.Member{NodeID: n.me, DirectoryID: n.dirs.list[0].Identity().DirectoryID}
	if e, err := nodeEndpoint(n.links.self); err == nil {
		me.Endpoints = []metadata.Endpoint{e}
	}
	return []quorum.Member{me}
}

// settle makes the identity known once it is on disk.
func (n *Node) settle(found *place) {
	home := n.dirs.list[0]
	n.links.mu.Lock()
	n.links.mu.standing = standing{identity: n.identity, directory: home.Identity().DirectoryID, members: append(found.founders, found.members...)}
	n.links.mu.Unlock()
	// Connections that were opened by somebody without a cluster are of no use to a member.
	for _, addr := range n.links.join {
		n.links.calls.Forget(addr)
	}
}

// checkCluster looks whether the nodes of --join belong to this node's cluster. One that belongs to another says that something is wrong
// with either of them, and that nobody should write here before that is cleared up.
func (n *Node) checkCluster(ctx context.Context, refuse context.CancelCauseFunc) {
	n.each(len(n.links.join), func(i int) {
		addr := n.links.join[i]
		if addr == n.links.self {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, helloTime)
		defer cancel()
		if h := n.greet(ctx, addr); h != nil && h.ErrorCode == model.InconsistentClusterID {
			refuse(fmt.Errorf("this node belongs to cluster %s, but %s", n.identity.cluster, textOf(h.ErrorMessage)))
		}
	})
}

// newcomer looks for its place.
type newcomer struct {
	n          *Node
	directory  model.UUID
	configured model.BrokerID
	list       []string // of --join, sorted
	founder    bool     // this node's own address is in the list
	wanted     *settings
	told       string // what was logged last
}

const (
	meetEvery = 50 * time.Millisecond
	helloTime = 2 * time.Second
)

// draftFile keeps the directory id of a node that has no identity yet: what it told the others must still be true after a crash.
const draftFile = "klamm-directory.id"

// draftDirectory is the id that the first data directory will have.
func (n *Node) draftDirectory(dir string) (model.UUID, error) {
	name := filepath.Join(dir, draftFile)
	b, err := vfs.ReadFile(n.disk, name, 1<<10)
	if err == nil {
		return model.ParseUUID(strings.TrimSpace(string(b)))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return model.UUID{}, err
	}
	id, err := drawID(n.random)
	if err != nil {
		return id, err
	}
	if err := n.disk.MkdirAll(dir, 0o700); err != nil {
		return id, err
	}
	if err := vfs.WriteFile(n.disk, name, []byte(id.String()+"\n"), 0o600); err != nil {
		return id, err
	}
	return id, n.disk.SyncDir(dir)
}

// drafted reports that this node did not come to the end of finding its place: it may have the cluster's name, but has no metadata log yet. It
// looks for its place again, and must not take the missing log for that of a cluster of its own.
func (n *Node) drafted(dir string) bool {
	_, err := n.disk.Stat(filepath.Join(dir, draftFile))
	return err == nil
}

// dropDraft removes the draft once meta.properties has the id and there is a metadata log.
func (n *Node) dropDraft(dir string) {
	if err := n.disk.Remove(filepath.Join(dir, draftFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Warn("file is of no more use and cannot be removed", "file", draftFile, "err", err)
	}
}

// find asks the nodes of the list until there is a cluster for this one.
func (w *newcomer) find(ctx context.Context) (*place, error) {
	for {
		p, err := w.round(ctx)
		if p != nil || err != nil {
			return p, err
		}
		if !w.n.sleep(ctx, meetEvery) {
			return nil, fmt.Errorf("looking for a cluster at %s: %w", strings.Join(w.list, ", "), context.Cause(ctx))
		}
	}
}

// round asks everybody once.
func (w *newcomer) round(ctx context.Context) (*place, error) {
	others := slices.DeleteFunc(slices.Clone(w.list), func(a string) bool { return a == w.n.links.self })
	heard := make([]*wire.HelloResponse, len(others))
	w.n.each(len(others), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, helloTime)
		defer cancel()
		heard[i] = w.n.greet(ctx, others[i])
	})
	founders := map[string]model.UUID{w.n.links.self: w.directory}
	var silent []string
	for i, h := range heard {
		switch {
		case h == nil || h.DirectoryID.IsZero(): // not there, or not yet
			silent = append(silent, others[i])
		case h.ErrorCode != model.None:
			w.tell("node at " + others[i] + " refuses this one: " + textOf(h.ErrorMessage))
		case h.ClusterID != nil:
			return w.enter(ctx, others[i], h)
		case !slices.Equal(h.Founders, w.claim()):
			w.tell(fmt.Sprintf("node at %s has another list of founders: %s, here %s", others[i], strings.Join(h.Founders, ","), strings.Join(w.claim(), ",")))
		default:
			founders[others[i]] = h.DirectoryID
		}
	}
	if w.founder && len(founders) == len(w.list) {
		return w.found(founders)
	}
	if len(silent) > 0 {
		w.tell("waiting for " + strings.Join(silent, ", "))
	}
	return nil, nil
}

// claim is what all founders have to agree on: their list, and the id of the cluster where it was given.
func (w *newcomer) claim() []string {
	if w.wanted.cluster == "" {
		return w.list
	}
	return append(slices.Clone(w.list), clusterVariable+"="+w.wanted.cluster)
}

// tell says what is waited for: on /readyz always, in the log once.
func (w *newcomer) tell(what string) {
	w.n.enters("forming", what)
	if what != w.told {
		w.n.log.Info("no cluster yet", "reason", what)
		w.told = what
	}
}

// found writes down what every other founder writes down on its own.
func (w *newcomer) found(founders map[string]model.UUID) (*place, error) {
	sum := sha256.New()
	p := &place{}
	for i, addr := range w.list {
		dir := founders[addr]
		fmt.Fprintf(sum, "%s %s\n", addr, dir)
		id := model.BrokerID(i + firstNode)
		endpoint, err := nodeEndpoint(addr)
		if err != nil {
			return nil, err
		}
		p.founders = append(p.founders, quorum.Member{NodeID: id, DirectoryID: dir, Endpoints: []metadata.Endpoint{endpoint}})
		if addr == w.n.links.self {
			p.node = id
		}
	}
	var u model.UUID
	copy(u[:], sum.Sum(nil))
	u[0] &= 0x7f // no cluster id begins with a dash, which command lines would take for an option
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	p.cluster = cmp.Or(w.wanted.cluster, u.String())
	if w.configured >= 0 && w.configured != p.node {
		return nil, fmt.Errorf("node.id is %d, but founders are numbered in the order of their addresses, and %s is %d: leave node.id out, or set it to %d",
			w.configured, w.n.links.self, p.node, p.node)
	}
	return p, nil
}

// enter becomes part of a cluster that there is already.
func (w *newcomer) enter(ctx context.Context, addr string, h *wire.HelloResponse) (*place, error) {
	if err := w.wanted.otherCluster(*h.ClusterID, "the node at "+addr+" belongs"); err != nil {
		return nil, err
	}
	var members []quorum.Member
	for i := range h.Members {
		// Raft's first question reaches this node before any metadata does, and its answer has to find the way.
		m := &h.Members[i]
		w.n.links.book.learn(model.BrokerID(m.NodeID), m.DirectoryID, m.Address)
		if e, err := nodeEndpoint(m.Address); err == nil {
			members = append(members, quorum.Member{NodeID: model.BrokerID(m.NodeID), DirectoryID: m.DirectoryID, Endpoints: []metadata.Endpoint{e}})
		}
	}
	for i := range h.Members {
		// The others formed the cluster with this very directory and were quicker. It has promised nothing yet, so it may begin empty.
		if m := &h.Members[i]; m.DirectoryID == w.directory {
			// Another founder may ask this node before it has metadata: it has to hear who belongs to the cluster, or it would ask for a place
			// that only a quorum with it in it can give.
			return &place{identity: identity{*h.ClusterID, model.BrokerID(m.NodeID)}, joins: true, members: members}, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	var resp wire.JoinResponse
	req := wire.JoinRequest{DirectoryID: w.directory, Address: w.n.links.self, NodeID: int32(w.configured)}
	if err := w.n.links.calls.Peer(addr).Call(ctx, &req, 0, &resp); err != nil {
		w.tell(err.Error())
		return nil, nil
	}
	switch resp.ErrorCode {
	case model.None:
		for i := range resp.Members {
			m := &resp.Members[i]
			w.n.links.book.learn(model.BrokerID(m.NodeID), m.DirectoryID, m.Address)
		}
		return &place{identity: identity{resp.ClusterID, model.BrokerID(resp.NodeID)}, joins: true}, nil
	case model.DuplicateBrokerRegistration, model.InconsistentVoterSet, model.UnsupportedVersion, model.InvalidRequest:
		return nil, fmt.Errorf("cluster %s at %s refuses this node: %s", *h.ClusterID, addr, textOf(resp.ErrorMessage))
	}
	w.tell("cluster at " + addr + " has no controller: " + textOf(resp.ErrorMessage))
	return nil, nil
}

// greet says Hello to an address; nil when nobody answers.
func (n *Node) greet(ctx context.Context, addr string) *wire.HelloResponse {
	nc, err := n.net.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil
	}
	var resp wire.HelloResponse
	c := client.New(client.Options{
		Dial:  func(context.Context, string, string) (net.Conn, error) { return nc, nil },
		Clock: n.clock, ID: "klamm", Limits: wire.DefaultLimits(), AnswerBytes: 1 << 20,
	})
	defer c.Close()
	if c.Peer(addr).Call(ctx, n.hello(), 0, &resp) != nil {
		return nil
	}
	return &resp
}

func textOf(s *string) string {
	if s == nil {
		return "no reason given"
	}
	return *s
}

// ownAddress picks this node's own entry from the list: the one whose port is the node port and whose host is this machine.
func ownAddress(list []string, socket net.Listener) (string, bool) {
	at, ok := socket.Addr().(*net.TCPAddr)
	if !ok {
		return "", false
	}
	for _, addr := range list {
		host, port, err := splitAddress(addr)
		if err == nil && port == at.Port && isHere(host, at.IP) {
			return addr, true
		}
	}
	return "", false
}

// isHere reports that a host name means this machine, and the address the socket is bound to if it is bound to one.
func isHere(host string, bound net.IP) bool {
	if ip := net.ParseIP(host); ip != nil && !bound.IsUnspecified() {
		return ip.Equal(bound)
	}
	// Its own name may not be known to the name service before the machine is ready for others.
	if name, err := os.Hostname(); err == nil && bound.IsUnspecified() && (host == name || strings.HasPrefix(host, name+".")) {
		return true
	}
	ips, err := net.LookupIP(host)
	if err != nil {
		return false
	}
	mine, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, ip := range ips {
		if !bound.IsUnspecified() {
			if ip.Equal(bound) {
				return true
			}
			continue
		}
		for _, a := range mine {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				return true
			}
		}
	}
	return false
}

// reachableAt is where others reach a node port that is in no list: the address it is bound to, or, when it is bound to all, the one
// that leads to the first node of the list, or the machine's name.
func reachableAt(socket net.Listener, list []string) string {
	at := socket.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "127.0.0.1"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
		for _, addr := range list {
			// UDP: nothing is sent, but the system says which way it would go.
			if c, err := net.Dial("udp", addr); err == nil {
				host, _, _ = net.SplitHostPort(c.LocalAddr().String())
				_ = c.Close()
				break
			}
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(at.Port))
}

// nodeListener is the name of the node port among a member's endpoints.
const nodeListener = "NODE"

func nodeEndpoint(addr string) (metadata.Endpoint, error) {
	host, port, err := splitAddress(addr)
	if err != nil {
		return metadata.Endpoint{}, fmt.Errorf("node address %s: %w", addr, err)
	}
	return metadata.Endpoint{Name: nodeListener, Host: host, Port: uint16(port)}, nil
}

func addressOf(endpoints []metadata.Endpoint) string {
	for _, e := range endpoints {
		if e.Name == nodeListener {
			return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
		}
	}
	return ""
}
