package node

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/model"
)

// Flags are what the command line says about a node. Empty fields leave it to the configuration.
type Flags struct {
	Config                         string   // a server.properties or YAML file
	Data                           string   // data directory; stands for log.dirs
	Listen, NodeListen, HTTPListen string   // host:port; port 0 picks a free one
	Join                           string   // addresses of nodes, comma-separated; stands for klamm.join
	Set                            []string // key=value
	Environ                        []string // NAME=value, as os.Environ has them
	Version                        string
	Stdout, Stderr                 io.Writer
	// NodeSocket is a node port that is open already; NodeListen then says nothing. The node closes it.
	NodeSocket net.Listener
	World      World
}

// Where a node listens and keeps its data when nothing says otherwise. Loopback: without authentication, whoever reaches a listener owns
// the data, so opening it to a network is the user's explicit choice.
const (
	defaultListen     = "127.0.0.1:9092"
	defaultHTTPListen = "127.0.0.1:9094"
	defaultData       = "./data"
)

// settings are a node's start-up settings after flags, environment and file have been put together.
type settings struct {
	static   *config.Static
	load     config.LoadOptions // what static was made from
	warnings []string
	dirs     []string
	kafka    []config.Listener // where clients connect
	http     string
	node     string // where other nodes connect
	// nodeAsked says that the node port was asked for: then it must open.
	nodeAsked bool
	socket    net.Listener // a node port that is open already, or nil
	join      []string     // sorted
	cluster   string       // the id that the cluster shall have, "" when that is left to it
}

// clusterVariable is how Kafka's images are told the id of the cluster.
const clusterVariable = "CLUSTER_ID"

// otherCluster refuses a cluster that is not the one this node was told to be part of.
func (s *settings) otherCluster(id, whose string) error {
	if s.cluster == "" || s.cluster == id {
		return nil
	}
	return fmt.Errorf("%s to cluster %s, but %s is %s: correct it, or leave it out", whose, id, clusterVariable, s.cluster)
}

// clusterID takes the id from the environment. What is none belongs to something else than Kafka's images, which write 22 characters of base64.
func (s *settings) clusterID(environ []string) {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if name != clusterVariable || value == "" {
			continue
		}
		if id, err := model.ParseUUID(value); err != nil || id.IsZero() {
			s.warnings = append(s.warnings, fmt.Sprintf("%s=%s is no cluster id (22 characters of base64) and is ignored", clusterVariable, value))
			continue
		}
		s.cluster = value
	}
}

func (f Flags) settings() (*settings, error) {
	set := append([]string(nil), f.Set...)
	if f.Data != "" {
		set = append(set, "log.dirs="+f.Data)
	}
	if f.HTTPListen != "" {
		set = append(set, "klamm.http.listen="+f.HTTPListen)
	}
	if f.NodeListen != "" {
		set = append(set, "klamm.node.listen="+f.NodeListen)
	}
	if f.Join != "" {
		set = append(set, "klamm.join="+f.Join)
	}
	if f.Listen != "" {
		host, port, err := splitAddress(f.Listen)
		if err != nil {
			return nil, fmt.Errorf("--listen %s: %w", f.Listen, err)
		}
		set = append(set, "listeners="+plaintext(host, port))
	}
	s := &settings{load: config.LoadOptions{File: f.Config, Environ: f.Environ, Set: set}, http: defaultHTTPListen, socket: f.NodeSocket}
	var err error
	if s.static, s.warnings, err = config.Load(s.load); err != nil {
		return nil, err
	}
	s.clusterID(f.Environ)
	s.dirs, s.kafka = dataDirs(s.static), s.static.Listeners()
	if s.static.IsSet("klamm.http.listen") {
		s.http = s.static.String("klamm.http.listen")
	}
	s.node, s.nodeAsked = s.static.String("klamm.node.listen"), s.static.IsSet("klamm.node.listen")
	if s.join, err = joinList(s.static); err != nil {
		return nil, err
	}
	if !s.static.IsSet("listeners") {
		host, port, err := splitAddress(defaultListen)
		if err != nil {
			return nil, err
		}
		s.kafka = []config.Listener{{Name: "PLAINTEXT", Host: host, Port: port}}
	}
	for _, l := range s.kafka {
		if open(l.Host) {
			s.warnings = append(s.warnings, fmt.Sprintf("listener %s on %s takes clients from the network, and this version has no authentication: "+
				"whoever reaches the port can read, write and delete everything", l.Name, l.Address()))
		}
	}
	if host, _, err := splitAddress(s.node); err == nil && open(host) {
		s.warnings = append(s.warnings, fmt.Sprintf("the node port on %s takes other nodes from the network, and this version has no authentication: "+
			"whoever reaches the port can join the cluster and decide for it", s.node))
	}
	return s, nil
}

// name makes what the node turned out to be part of the configuration, where clients look for it: its id, and where it takes HTTP.
func (s *settings) name(id model.BrokerID, http string) error {
	s.load.Set = append(s.load.Set, fmt.Sprintf("node.id=%d", id))
	if http != "" {
		s.load.Set = append(s.load.Set, "klamm.http.listen="+http)
	}
	static, _, err := config.Load(s.load)
	if err == nil {
		s.static = static
	}
	return err
}

func plaintext(host string, port int) string {
	return "PLAINTEXT://" + net.JoinHostPort(host, strconv.Itoa(port))
}

func dataDirs(static *config.Static) []string {
	for _, key := range []string{"log.dirs", "log.dir"} {
		if static.IsSet(key) {
			var dirs []string
			for d := range strings.SplitSeq(static.String(key), ",") {
				if d = strings.TrimSpace(d); d != "" {
					dirs = append(dirs, absolute(d))
				}
			}
			return dirs
		}
	}
	return []string{absolute(defaultData)}
}

// absolute is the path as DescribeLogDirs and reassignment files show it: tools match these across processes.
func absolute(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return abs
}

// open reports that a host lets others than this machine in.
func open(host string) bool {
	if host == "localhost" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

func splitAddress(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", p)
	}
	return host, port, nil
}
