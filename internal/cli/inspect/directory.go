package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// Directory is a data directory as it lies on disk.
type Directory struct {
	Path       string
	Identity   commitlog.Identity
	HasID      bool // meta.properties is there
	Clean      bool // the last node on it ended cleanly
	InUse      bool // a node runs on it; tails may be in motion
	Partitions []Partition
}

// Partition is one of its logs.
type Partition struct {
	TP       model.TopicPartition
	TopicID  string
	Path     string
	Segments []Segment // by base offset
}

// Segment is one file of a log.
type Segment struct {
	Base  model.Offset
	Path  string
	Bytes int64
}

const maxSmallFile = 1 << 20

// Open lists what lies in dir.
func Open(fsys vfs.FS, dir string) (*Directory, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	d := &Directory{Path: dir, Clean: slices.Contains(names, ".kafka_cleanshutdown")}
	switch d.Identity, err = commitlog.ReadIdentity(fsys, dir); {
	case err == nil:
		d.HasID = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if slices.Contains(names, ".lock") {
		lock, err := fsys.Lock(path.Join(dir, ".lock"))
		switch {
		case errors.Is(err, vfs.ErrLocked):
			d.InUse = true
		case err == nil:
			err = lock.Close()
		}
		if err != nil && !d.InUse {
			return nil, err
		}
	}
	for _, name := range names {
		tp, ok := parsePartition(name)
		if !ok {
			continue
		}
		p, err := openPartition(fsys, path.Join(dir, name), tp)
		if err != nil {
			return nil, err
		}
		if len(p.Segments) > 0 {
			d.Partitions = append(d.Partitions, p)
		}
	}
	slices.SortFunc(d.Partitions, func(a, b Partition) int {
		if c := strings.Compare(a.TP.Topic, b.TP.Topic); c != 0 {
			return c
		}
		return int(a.TP.Partition - b.TP.Partition)
	})
	return d, nil
}

// OpenPartition reads one partition's directory.
func OpenPartition(fsys vfs.FS, dir string) (Partition, error) {
	tp, ok := parsePartition(path.Base(dir))
	if !ok {
		return Partition{}, fmt.Errorf("%s is not a partition's directory, such as orders-0", dir)
	}
	return openPartition(fsys, dir, tp)
}

func openPartition(fsys vfs.FS, dir string, tp model.TopicPartition) (Partition, error) {
	p := Partition{TP: tp, Path: dir}
	names, err := fsys.List(dir)
	if err != nil {
		return p, err
	}
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".log")
		if !ok || len(digits) != 20 {
			continue
		}
		base, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			continue
		}
		info, err := fsys.Stat(path.Join(dir, name))
		if err != nil {
			return p, err
		}
		p.Segments = append(p.Segments, Segment{model.Offset(base), path.Join(dir, name), info.Size()})
	}
	if text, err := vfs.ReadFile(fsys, path.Join(dir, "partition.metadata"), maxSmallFile); err == nil {
		for line := range strings.Lines(string(text)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), "topic_id: "); ok {
				p.TopicID = id
			}
		}
	}
	return p, nil
}

// parsePartition splits topic-0; names on their way out end in -delete or -stray and are no partitions.
func parsePartition(name string) (model.TopicPartition, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return model.TopicPartition{}, false
	}
	n, err := strconv.ParseUint(name[i+1:], 10, 31)
	return model.TopicPartition{Topic: name[:i], Partition: int32(n)}, err == nil && strconv.FormatUint(n, 10) == name[i+1:]
}

// Bytes is the size of all segments.
func (p Partition) Bytes() int64 {
	var n int64
	for _, s := range p.Segments {
		n += s.Bytes
	}
	return n
}
