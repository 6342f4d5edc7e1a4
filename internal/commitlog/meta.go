package commitlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/commitlog/remember"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

// checksumComment begins the last line of meta.properties. Java's property files ignore comments, so Kafka accepts it.
const checksumComment = "#crc32c="

// Identity is the content of meta.properties: whose directory this is (KIP-631, KIP-858).
type Identity struct {
	NodeID      model.BrokerID
	ClusterID   string
	DirectoryID model.UUID
}

func (id Identity) encode() []byte {
	b := fmt.Appendf(nil, "#\ncluster.id=%s\nversion=1\ndirectory.id=%s\nnode.id=%d\n", id.ClusterID, id.DirectoryID, id.NodeID)
	return fmt.Appendf(b, "%s%08x\n", checksumComment, remember.Sum(b))
}

func decodeIdentity(b []byte) (Identity, error) {
	if i := bytes.LastIndex(b, []byte(checksumComment)); i >= 0 {
		if string(b[i:]) != fmt.Sprintf("%s%08x\n", checksumComment, remember.Sum(b[:i])) {
			return Identity{}, fmt.Errorf("%w: %s fails its checksum", ErrWrongDirectory, metaFile)
		}
	}
	props := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		if k, v, ok := strings.Cut(line, "="); ok {
			props[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	if props["version"] != "1" {
		return Identity{}, fmt.Errorf("%w: %s has version %q, want 1", ErrWrongDirectory, metaFile, props["version"])
	}
	node, err := strconv.ParseInt(props["node.id"], 10, 32)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %s has node.id %q", ErrWrongDirectory, metaFile, props["node.id"])
	}
	id := Identity{NodeID: model.BrokerID(node), ClusterID: props["cluster.id"]}
	if s, ok := props["directory.id"]; ok {
		if id.DirectoryID, err = model.ParseUUID(s); err != nil {
			return Identity{}, fmt.Errorf("%w: %s: directory.id: %w", ErrWrongDirectory, metaFile, err)
		}
	}
	return id, nil
}

// loadIdentity reads meta.properties or, in a new directory, writes it: then fresh is true. It refuses a directory of another node or cluster.
func loadIdentity(env Env, o DirOptions) (id Identity, fresh bool, err error) {
	name := o.Path + "/" + metaFile
	b, err := vfs.ReadFile(env.FS, name, 1<<20)
	switch {
	case notExist(err):
		id = Identity{NodeID: o.NodeID, ClusterID: o.ClusterID, DirectoryID: o.DirectoryID}
		if id.DirectoryID.IsZero() {
			if id.DirectoryID, err = newUUID(env.Random); err != nil {
				return id, true, err
			}
		}
		if err := vfs.WriteFile(env.FS, name, id.encode(), filePerm); err != nil {
			return id, true, err
		}
		return id, true, env.FS.SyncDir(o.Path)
	case err != nil:
		return id, false, err
	}
	if id, err = decodeIdentity(b); err != nil {
		return id, false, err
	}
	if id.NodeID != o.NodeID || id.ClusterID != o.ClusterID {
		return id, false, fmt.Errorf("%w: %s is of node %d in cluster %q, this is node %d in cluster %q", ErrWrongDirectory, name,
			id.NodeID, id.ClusterID, o.NodeID, o.ClusterID)
	}
	return id, false, nil
}

// ReadIdentity reads the meta.properties of a directory without opening it. ErrNotExist in a new directory.
func ReadIdentity(fsys vfs.FS, dir string) (Identity, error) {
	b, err := vfs.ReadFile(fsys, dir+"/"+metaFile, 1<<20)
	if err != nil {
		return Identity{}, err
	}
	return decodeIdentity(b)
}

// newUUID draws a random id. As in Kafka it never begins with a dash, which command lines would take for an option.
func newUUID(random io.Reader) (model.UUID, error) {
	for {
		var u model.UUID
		if _, err := io.ReadFull(random, u[:]); err != nil {
			return u, err
		}
		u[6] = u[6]&0x0f | 0x40 // version 4
		u[8] = u[8]&0x3f | 0x80 // RFC 9562 variant
		if u.String()[0] != '-' {
			return u, nil
		}
	}
}

// encodePartitionMeta renders partition.metadata. Kafka reads two lines; the third is our checksum.
func encodePartitionMeta(id model.TopicID) []byte {
	b := fmt.Appendf(nil, "version: 0\ntopic_id: %s\n", id)
	return fmt.Appendf(b, "crc32c: %08x\n", remember.Sum(b))
}

var errBadPartitionMeta = errors.New("partition.metadata is damaged")

// partitionMeta is the content of partition.metadata.
type partitionMeta struct {
	topic model.TopicID
	ours  bool // written by this program, not by Kafka
}

func decodePartitionMeta(b []byte) (partitionMeta, error) {
	var m partitionMeta
	rest, ok := strings.CutPrefix(string(b), "version: ")
	if !ok {
		return m, errBadPartitionMeta
	}
	version, rest, _ := strings.Cut(rest, "\n")
	if n, err := strconv.Atoi(strings.TrimSpace(version)); err != nil || n < 0 {
		return m, errBadPartitionMeta
	}
	if rest, ok = strings.CutPrefix(rest, "topic_id: "); !ok {
		return m, errBadPartitionMeta
	}
	text, rest, _ := strings.Cut(rest, "\n")
	if rest != "" {
		sum, ok := strings.CutPrefix(rest, "crc32c: ")
		if !ok || sum != fmt.Sprintf("%08x\n", remember.Sum(b[:len(b)-len(rest)])) {
			return m, errBadPartitionMeta
		}
		m.ours = true
	}
	id, err := model.ParseUUID(strings.TrimSpace(text))
	if err != nil || id.IsZero() {
		return m, errBadPartitionMeta
	}
	m.topic = id
	return m, nil
}

// cleanMarker is Kafka's .kafka_cleanshutdown (KIP-966): the epoch under which the broker was registered when it stopped.
type cleanMarker struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

func encodeCleanMarker(epoch model.BrokerEpoch) []byte {
	b, err := json.Marshal(cleanMarker{BrokerEpoch: int64(epoch)})
	if err != nil { // two integers always marshal
		return []byte("{}")
	}
	return b
}

// decodeCleanMarker gives -1 for a marker of an older Kafka, which is empty.
func decodeCleanMarker(b []byte) model.BrokerEpoch {
	m := cleanMarker{BrokerEpoch: -1}
	if json.Unmarshal(b, &m) != nil {
		return -1
	}
	return model.BrokerEpoch(m.BrokerEpoch)
}
