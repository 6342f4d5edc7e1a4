package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/replication"
	"github.com/klamm/klamm/internal/vfs"
)

var (
	// errNoDir says that every data directory has failed.
	errNoDir = errors.New("no data directory is online")
	// errDirOffline says that a replica is in a directory that did not open at the start.
	errDirOffline = errors.New("its data directory is offline")
)

// dirs are the node's data directories, and which partition lives in which.
type dirs struct {
	list   []*commitlog.Dir
	broken []brokenDir
	mu     struct {
		sync.Mutex
		of    map[model.TopicPartition]*commitlog.Dir // found on disk or opened since
		count map[*commitlog.Dir]int
		// again are directories that hold a partition which another holds, too: a move was cut off between its last two steps, or a directory came
		// back after what it had held had gone elsewhere.
		again    map[model.TopicPartition][]*commitlog.Dir
		cordoned []string // paths of directories that get no new replicas; * for all
		// preferred is where clients want a replica that is not here yet (KIP-113).
		preferred map[model.TopicPartition]*commitlog.Dir
	}
}

// brokenDir is a configured data directory that did not open.
type brokenDir struct {
	path string
	err  error
}

func newDirs(list []*commitlog.Dir, broken []brokenDir) *dirs {
	d := &dirs{list: list, broken: broken}
	d.mu.of, d.mu.count = map[model.TopicPartition]*commitlog.Dir{}, map[*commitlog.Dir]int{}
	d.mu.again, d.mu.preferred = map[model.TopicPartition][]*commitlog.Dir{}, map[model.TopicPartition]*commitlog.Dir{}
	for _, dir := range list {
		for _, f := range dir.Found() {
			if d.mu.of[f.TP] != nil {
				d.mu.again[f.TP] = append(d.mu.again[f.TP], dir)
				continue
			}
			d.mu.of[f.TP] = dir
			d.mu.count[dir]++
		}
	}
	return d
}

// byPath is a directory by the name it has in the configuration: nil when there is none, or none that opened.
func (d *dirs) byPath(path string) (dir *commitlog.Dir, configured bool) {
	for _, dir := range d.list {
		if dir.Path() == path {
			return dir, true
		}
	}
	return nil, slices.ContainsFunc(d.broken, func(b brokenDir) bool { return b.path == path })
}

// byID is the directory of an id, or nil.
func (d *dirs) byID(id model.UUID) *commitlog.Dir {
	for _, dir := range d.list {
		if dir.Identity().DirectoryID == id {
			return dir
		}
	}
	return nil
}

// offline are the ids of directories that failed since they opened.
func (d *dirs) offline() (ids []model.UUID) {
	for _, dir := range d.list {
		if dir.Offline() != nil {
			ids = append(ids, dir.Identity().DirectoryID)
		}
	}
	return ids
}

// prefer has a replica that is not here yet put into a directory when it comes.
func (d *dirs) prefer(tp model.TopicPartition, dir *commitlog.Dir) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.preferred[tp] = dir
}

// moved notes that a partition is in another directory now.
func (d *dirs) moved(tp model.TopicPartition, to *commitlog.Dir) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if from := d.mu.of[tp]; from != nil {
		d.mu.count[from]--
	}
	d.mu.of[tp] = to
	d.mu.count[to]++
}

// holdsPartitions reports that there are partitions on disk.
func (d *dirs) holdsPartitions() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.of) > 0
}

// place is the directory that holds a partition. For a new one it is the one that a client has asked for, or the online directory with the fewest.
// assigned is what the metadata says: it decides between two that hold the partition, and a partition in a directory that did not open is not
// begun anew in another. Many logs are opened at the same time, so the place counts as taken from here on; whoever does not use it gives it back
// with closed. strays hold what they should not.
func (d *dirs) place(tp model.TopicPartition, assigned model.UUID) (dir *commitlog.Dir, isNew bool, strays []*commitlog.Dir) {
	known := d.byID(assigned)
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted := d.mu.preferred[tp]
	delete(d.mu.preferred, tp)
	if dir := d.mu.of[tp]; dir != nil {
		strays = d.mu.again[tp]
		delete(d.mu.again, tp)
		if i := slices.Index(strays, known); i >= 0 {
			strays = slices.Replace(slices.Clone(strays), i, i+1, dir)
			d.mu.count[dir]--
			d.mu.count[known]++
			d.mu.of[tp], dir = known, known
		}
		return dir, false, strays
	}
	if len(d.broken) > 0 && !assigned.IsZero() && known == nil {
		return nil, false, nil
	}
	best := wanted
	if best != nil && best.Offline() != nil {
		best = nil
	}
	if best == nil {
		best = d.roomiestLocked()
	}
	if best != nil {
		d.mu.of[tp] = best
		d.mu.count[best]++
	}
	return best, true, nil
}

func (d *dirs) roomiestLocked() (best *commitlog.Dir) {
	for _, free := range []bool{true, false} { // somebody has named this broker, although it is cordoned: the replica has to go somewhere
		for _, dir := range d.list {
			if dir.Offline() == nil && d.cordonedLocked(dir) != free && (best == nil || d.mu.count[dir] < d.mu.count[best]) {
				best = dir
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

func (d *dirs) cordonedLocked(dir *commitlog.Dir) bool {
	return slices.Contains(d.mu.cordoned, "*") || slices.Contains(d.mu.cordoned, dir.Path())
}

// cordon sets which directories get no new replicas.
func (d *dirs) cordon(paths []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.cordoned = paths
}

func (d *dirs) isCordoned(dir *commitlog.Dir) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cordonedLocked(dir)
}

// place is where a replica is, or is to be.
func (n *Node) place(o opening) (dir *commitlog.Dir, isNew bool, err error) {
	assigned := o.assignedDir(n.me)
	n.dirs.cordon(n.cordoned())
	dir, isNew, strays := n.dirs.place(o.tp(), assigned)
	for _, s := range strays {
		n.log.Warn("a partition is in two data directories; one copy is deleted", "topic", o.topic.Name, "partition", o.index, "kept", dir.Path(), "deleted", s.Path())
		if err := s.DeleteStray(o.tp()); err != nil {
			n.log.Error("stray log cannot be deleted", "topic", o.topic.Name, "partition", o.index, "dir", s.Path(), "err", err)
		}
	}
	switch {
	case dir != nil:
		return dir, isNew, nil
	case isNew:
		return nil, isNew, errNoDir
	}
	return nil, isNew, errDirOffline
}

// cordoned are the directories that get no new replicas (KIP-1066).
func (n *Node) cordoned() []string {
	set := n.static.String("cordoned.log.dirs")
	img := n.image.Load()
	for _, name := range []string{"", strconv.Itoa(int(n.me))} {
		if v, ok := img.Overrides(model.ResourceBroker, name)["cordoned.log.dirs"]; ok {
			set = v
		}
	}
	return strings.Split(set, ",")
}

// assignedDir is the directory that the metadata knows the replica of a broker to be in, zero when it knows none.
func (o opening) assignedDir(id model.BrokerID) model.UUID {
	p := &o.topic.Partitions[o.index]
	if i := slices.Index(p.Replicas, id); i >= 0 && i < len(p.Dirs) {
		return p.Dirs[i]
	}
	return model.UUID{}
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
	n.dirs.cordon(n.cordoned())
	out := make([]api.LogDir, len(n.dirs.list), len(n.dirs.list)+len(n.dirs.broken))
	at := map[*commitlog.Dir]*api.LogDir{}
	for i, dir := range n.dirs.list {
		out[i] = api.LogDir{Path: dir.Path(), Offline: dir.Offline() != nil, Cordoned: n.dirs.isCordoned(dir)}
		at[dir] = &out[i]
		if total, free, err := dir.Usage(); err == nil {
			out[i].Total, out[i].Free = total, free
		}
	}
	for _, r := range n.replicas.all() {
		d := at[r.dir]
		log := r.part.Log()
		d.Logs = append(d.Logs, api.LogSize{TP: log.TP(), ID: log.TopicID(), Size: log.Size(), Lag: max(int64(r.part.HighWatermark()-log.End()), 0)})
	}
	n.relocations.describe(func(dir *commitlog.Dir, l api.LogSize) { at[dir].Logs = append(at[dir].Logs, l) })
	for _, b := range n.dirs.broken {
		out = append(out, api.LogDir{Path: b.path, Offline: true})
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
