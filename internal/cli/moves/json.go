package moves

import (
	"encoding/json"
	"fmt"
	"io"
)

// reassignment is the file that kafka-reassign-partitions reads and writes.
type reassignment struct {
	Version    int        `json:"version"`
	Partitions []assigned `json:"partitions"`
}

type assigned struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Replicas  []int32  `json:"replicas"`
	LogDirs   []string `json:"log_dirs,omitempty"`
}

// Read reads Kafka's reassignment JSON. Directories are not looked at.
func Read(r io.Reader) ([]Partition, error) {
	var f reassignment
	d := json.NewDecoder(r)
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("reassignment JSON: %w", err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("reassignment JSON: version is %d, expected 1", f.Version)
	}
	seen := map[string]bool{}
	var out []Partition
	for _, p := range f.Partitions {
		key := fmt.Sprintf("%s-%d", p.Topic, p.Partition)
		switch {
		case p.Topic == "" || p.Partition < 0:
			return nil, fmt.Errorf("reassignment JSON: an entry has no topic or partition")
		case len(p.Replicas) == 0:
			return nil, fmt.Errorf("reassignment JSON: %s has no replicas", key)
		case seen[key]:
			return nil, fmt.Errorf("reassignment JSON: %s stands there twice", key)
		}
		seen[key] = true
		out = append(out, Partition{p.Topic, p.Partition, p.Replicas})
	}
	return out, nil
}

// Write writes it.
func Write(w io.Writer, parts []Partition) error {
	f := reassignment{Version: 1, Partitions: []assigned{}}
	for _, p := range parts {
		f.Partitions = append(f.Partitions, assigned{Topic: p.Topic, Partition: p.Partition, Replicas: p.Replicas})
	}
	return json.NewEncoder(w).Encode(f)
}
