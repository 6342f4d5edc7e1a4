package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/vfs"
)

// errNoDir says that every data directory has failed.
var errNoDir = errors.New("no data directory is online")

// dirs are the node's data directories, and which partition lives in which.
type dirs struct {
	list []*commitlog.Dir
	mu   struct {
		sync.Mutex
		of    map[model.TopicPartition]*commitlog.Dir // found on disk or opened since
		count map[*commitlog.Dir]int
	}
}

func newDirs(list []*commitlog.Dir) *dirs {
	d := &dirs{list: list}
	d.mu.of, d.mu.count = map[model.TopicPartition]*commitlog.Dir{}, map[*commitlog.Dir]int{}
	for _, dir := range list {
		for _, f := range dir.Found() {
			d.mu.of[f.TP] = dir
			d.mu.count[dir]++
		}
	}
	return d
}

// holdsPartitions reports that there are partitions on disk.
func (d *dirs) holdsPartitions() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.of) > 0
}

// place is the directory that holds a partition, or for a new one the online directory with the fewest. Many logs are opened at the same
// time, so the place counts as taken from here on; whoever does not use it gives it back with closed.
func (d *dirs) place(tp model.TopicPartition) (dir *commitlog.Dir, isNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir := d.mu.of[tp]; dir != nil {
		return dir, false
	}
	var best *commitlog.Dir
	for _, dir := range d.list {
		if dir.Offline() == nil && (best == nil || d.mu.count[dir] < d.mu.count[best]) {
			best = dir
		}
	}
	if best != nil {
		d.mu.of[tp] = best
		d.mu.count[best]++
	}
	return best, true
}

// holds reports that a partition lies somewhere: it was found at the start and not deleted since, or opened.
func (d *dirs) holds(tp model.TopicPartition) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.of[tp] != nil
}

func (d *dirs) closed(tp model.TopicPartition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir := d.mu.of[tp]; dir != nil {
		delete(d.mu.of, tp)
		d.mu.count[dir]--
	}
}

// close ends every directory; epoch goes into the marker of a clean end.
func (d *dirs) close(epoch model.BrokerEpoch) error {
	var errs []error
	for _, dir := range d.list {
		failed := dir.Offline() != nil // that was said when it happened
		if err := dir.Close(epoch); !failed {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Dirs implements api.Partitions.
func (n *Node) Dirs() []api.LogDir {
	out := make([]api.LogDir, len(n.dirs.list))
	at := map[*commitlog.Dir]*api.LogDir{}
	for i, dir := range n.dirs.list {
		out[i] = api.LogDir{Path: dir.Path(), Offline: dir.Offline() != nil}
		at[dir] = &out[i]
		if total, free, err := dir.Usage(); err == nil {
			out[i].Total, out[i].Free = total, free
		}
	}
	for _, r := range n.replicas.all() {
		d := at[r.dir]
		d.Logs = append(d.Logs, api.LogSize{TP: r.log.TP(), ID: r.log.TopicID(), Size: r.log.Size()})
	}
	return out
}

// Get implements api.Partitions.
func (n *Node) Get(tp model.TopicIDPartition) *replication.Partition { return n.replicas.Get(tp) }

// identity is who this node is according to its data directories.
type identity struct {
	cluster string
	node    model.BrokerID
}

// readIdentity finds the identity in the first directory that has one; there is none in new directories. Directories of different clusters or
// nodes are refused by commitlog when it opens them.
func readIdentity(disk vfs.FS, paths []string, configured model.BrokerID) (identity, error) {
	for _, p := range paths {
		id, err := commitlog.ReadIdentity(disk, p)
		if err == nil {
			if configured >= 0 && configured != id.NodeID {
				return identity{}, fmt.Errorf("%s belongs to node %d, but node.id is %d: correct node.id, or give this node a data directory of its own",
					p, id.NodeID, configured)
			}
			return identity{id.ClusterID, id.NodeID}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return identity{}, err
		}
	}
	return identity{}, nil
}

// drawID draws an id. As in Kafka it never begins with a dash, which command lines would take for an option.
func drawID(random io.Reader) (u model.UUID, err error) {
	for u.IsZero() || u.String()[0] == '-' {
		if _, err := io.ReadFull(random, u[:]); err != nil {
			return u, err
		}
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	}
	return u, nil
}

// firstNode is the id of a node that was not given one.
const firstNode = 1

func metadataPath(first string) string { return filepath.Join(first, metadataDir) }

// metadataDir holds the metadata log, beside the partitions of the first data directory.
const metadataDir = "klamm-metadata"
