package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/cli/inspect"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/vfs"
)

func (a *app) storageCommand() *cobra.Command {
	return noun("storage", "look into a data directory whose node is stopped", a.storageInfo(), a.storageDump(), a.storageVerify())
}

type storageJSON struct {
	Path       string          `json:"path"`
	ClusterID  string          `json:"cluster_id,omitempty"`
	NodeID     int32           `json:"node_id"`
	Directory  string          `json:"directory_id,omitempty"`
	Clean      bool            `json:"clean"`
	InUse      bool            `json:"in_use"`
	Bytes      int64           `json:"bytes"`
	Partitions []partitionJSON `json:"partitions"`
}

type partitionJSON struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	TopicID   string            `json:"topic_id"`
	Segments  int               `json:"segments"`
	Bytes     int64             `json:"bytes"`
	Start     int64             `json:"start_offset"`
	End       *int64            `json:"end_offset,omitempty"`
	Batches   *int64            `json:"batches,omitempty"`
	Records   *int64            `json:"records,omitempty"`
	Problems  []inspect.Problem `json:"problems,omitempty"`
}

func partitionInfo(p inspect.Partition) partitionJSON {
	return partitionJSON{Topic: p.TP.Topic, Partition: p.TP.Partition, TopicID: p.TopicID, Segments: len(p.Segments), Bytes: p.Bytes(), Start: int64(p.Segments[0].Base)}
}

func storageInfo(d *inspect.Directory) storageJSON {
	s := storageJSON{Path: d.Path, Clean: d.Clean, InUse: d.InUse, NodeID: -1, Partitions: []partitionJSON{}}
	if d.HasID {
		s.ClusterID, s.NodeID, s.Directory = d.Identity.ClusterID, int32(d.Identity.NodeID), d.Identity.DirectoryID.String()
	}
	for _, p := range d.Partitions {
		s.Bytes += p.Bytes()
	}
	return s
}

func (s storageJSON) head() string {
	state := "ended cleanly"
	switch {
	case s.InUse:
		state = "in use by a running node: what is shown of its tails may be in motion"
	case !s.Clean:
		state = "not ended cleanly: the next start recovers"
	}
	return fmt.Sprintf("%s   cluster %s, node %d, directory %s, %s\n", s.Path, dash(s.ClusterID), s.NodeID, dash(s.Directory), state)
}

func (a *app) storageInfo() *cobra.Command {
	return &cobra.Command{
		Use: "info [DIR]", Short: "whose directory it is and what lies in it (default ./data)", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := openDirectory(args)
			if err != nil {
				return err
			}
			s := storageInfo(d)
			t := &table{columns: columns("TOPIC", ">PARTITION", ">SEGMENTS", ">SIZE", ">START", "+TOPIC ID")}
			for _, p := range d.Partitions {
				i := partitionInfo(p)
				s.Partitions = append(s.Partitions, i)
				t.add(i.Topic, i.Partition, i.Segments, size(i.Bytes), i.Start, dash(i.TopicID))
			}
			return a.show(s, s.head(), t, "")
		},
	}
}

func openDirectory(args []string) (*inspect.Directory, error) {
	dir := "./data"
	if len(args) > 0 {
		dir = args[0]
	}
	d, err := inspect.Open(vfs.OS(), filepath.ToSlash(filepath.Clean(dir)))
	if err != nil {
		return nil, &fault{what: "reading " + dir, why: err, next: "name the data directory: klamm storage info DIR", code: ExitError}
	}
	if !d.HasID && len(d.Partitions) == 0 {
		return nil, &fault{what: dir + " is not a data directory", next: "name the one the server was given with --data or log.dirs", code: ExitError}
	}
	return d, nil
}

func (a *app) storageVerify() *cobra.Command {
	return &cobra.Command{
		Use: "verify [DIR]", Short: "read every batch and index and report damage (default ./data)", Args: cobra.MaximumNArgs(1),
		Long: "Read every batch of every segment: checksums, counts, offsets, records; and that the indexes point where they should.\n" +
			"Nothing is changed. A torn tail after a crash is no damage: the next start cuts it off. Exit code 1 when damage is found.",
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := openDirectory(args)
			if err != nil {
				return err
			}
			s := storageInfo(d)
			t := &table{columns: columns("TOPIC", ">PARTITION", ">SEGMENTS", ">SIZE", ">START", ">END", ">BATCHES", ">RECORDS", ">DAMAGE")}
			var tail strings.Builder
			damage := 0
			for _, p := range d.Partitions {
				i := partitionInfo(p)
				v := inspect.Verify(vfs.OS(), p, d.Clean)
				i.End, i.Batches, i.Records, i.Problems = new(int64(v.End)), &v.Batches, &v.Records, v.Problems
				found := 0
				for _, pr := range v.Problems {
					what := "damage"
					if pr.Tail {
						what = "torn tail"
					} else {
						found++
					}
					fmt.Fprintf(&tail, "%s: %s at %d, offset %d: %s\n", what, pr.Path, pr.Position, pr.Offset, pr.What)
				}
				damage += found
				s.Partitions = append(s.Partitions, i)
				t.add(i.Topic, i.Partition, i.Segments, size(i.Bytes), i.Start, *i.End, *i.Batches, *i.Records, found)
			}
			if damage == 0 {
				fmt.Fprintf(&tail, "no damage in %s\n", plural(len(d.Partitions), "partition"))
			}
			if err := a.show(s, s.head(), t, tail.String()); err != nil {
				return err
			}
			if damage > 0 {
				return silent(ExitError)
			}
			return nil
		},
	}
}

type batchJSON struct {
	Path      string       `json:"path"`
	Position  int64        `json:"position"`
	Base      int64        `json:"base_offset"`
	Last      int64        `json:"last_offset"`
	Count     int32        `json:"count"`
	Bytes     int          `json:"bytes"`
	Epoch     int32        `json:"leader_epoch"`
	Codec     string       `json:"compression"`
	Max       int64        `json:"max_timestamp"`
	Kind      string       `json:"timestamp_type"`
	Producer  int64        `json:"producer_id"`
	PEpoch    int16        `json:"producer_epoch"`
	Sequence  int32        `json:"base_sequence"`
	Txn       bool         `json:"transactional"`
	Control   bool         `json:"control"`
	CRC       string       `json:"crc"`
	CRCValid  bool         `json:"crc_valid"`
	RecordSet []recordJSON `json:"records,omitempty"`
}

func (a *app) storageDump() *cobra.Command {
	var records bool
	var from int64
	var count int
	c := &cobra.Command{
		Use: "dump PATH", Short: "print the batches of a partition's directory or of one segment", Args: cobra.ExactArgs(1),
		Example: "  klamm storage dump data/orders-0\n  klamm storage dump data/orders-0/00000000000000000000.log --records -n 10",
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := segmentsOf(args[0])
			if err != nil {
				return err
			}
			f, err := a.format()
			if err != nil {
				return err
			}
			shown := 0
			for _, s := range p.Segments {
				for b, err := range inspect.Batches(vfs.OS(), s) {
					if err != nil {
						return &fault{what: fmt.Sprintf("%s at %d", s.Path, b.Position), why: err, next: "see what else is wrong: klamm storage verify DIR", code: ExitError}
					}
					if int64(b.Header.LastOffset()) < from {
						continue
					}
					if count > 0 && shown == count {
						return nil
					}
					shown++
					if err := a.showBatch(dumped{p.TP, s.Path, b}, records, f); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&records, "records", false, "with the records")
	f.Int64Var(&from, "offset", 0, "begin with the batch that holds this offset")
	f.IntVarP(&count, "count", "n", 0, "stop after so many batches")
	return c
}

// segmentsOf is a partition with all its segments, or with the one that was named.
func segmentsOf(name string) (inspect.Partition, error) {
	name = filepath.ToSlash(filepath.Clean(name))
	dir, file := name, ""
	if strings.HasSuffix(name, ".log") {
		dir, file = filepath.ToSlash(filepath.Dir(name)), name
	}
	p, err := inspect.OpenPartition(vfs.OS(), dir)
	if err != nil {
		return p, &fault{what: "reading " + name, why: err, next: "see the partitions: klamm storage info DIR", code: ExitError}
	}
	if file == "" {
		return p, nil
	}
	for _, s := range p.Segments {
		if s.Path == file {
			p.Segments = []inspect.Segment{s}
			return p, nil
		}
	}
	return p, &fault{what: "there is no segment " + name, code: ExitError}
}

// dumped is a batch with where it was found.
type dumped struct {
	tp   model.TopicPartition
	path string
	inspect.Batch
}

func (b dumped) json() batchJSON {
	h := b.Header
	j := batchJSON{Path: b.path, Position: b.Position, Base: int64(h.BaseOffset), Last: int64(h.LastOffset()), Count: h.Count, Bytes: h.Size(), Epoch: int32(h.LeaderEpoch),
		Codec: h.Attributes.Codec().String(), Max: h.MaxTimestamp, Kind: "CreateTime", Producer: int64(h.ProducerID), PEpoch: int16(h.ProducerEpoch), Sequence: h.BaseSequence,
		Txn: h.Attributes.Transactional(), Control: h.Attributes.Control(), CRC: fmt.Sprintf("%08x", h.CRC), CRCValid: batch.VerifyCRC(b.Data) == nil}
	if h.Attributes.LogAppendTime() {
		j.Kind = "LogAppendTime"
	}
	return j
}

func (a *app) showBatch(b dumped, records bool, format string) error {
	j := b.json()
	var lines []*kgo.Record
	if records {
		for r, err := range batch.Records(b.Data, batch.Limits{}) {
			if err != nil {
				return &fault{what: fmt.Sprintf("%s at %d", b.path, b.Position), why: err, code: ExitError}
			}
			rec := recordOf(r)
			rec.Topic, rec.Partition = b.tp.Topic, b.tp.Partition
			lines = append(lines, rec)
		}
	}
	if format == "json" || format == "yaml" {
		for _, r := range lines {
			j.RecordSet = append(j.RecordSet, toJSON(r))
		}
		return a.show(j, "", nil, "")
	}
	a.printf("%d-%d  %s, %s, %s, %s %s, epoch %d, position %d", j.Base, j.Last, plural(int(j.Count), "record"), plural(j.Bytes, "byte"), j.Codec, j.Kind,
		time.UnixMilli(j.Max).UTC().Format("2006-01-02T15:04:05.000Z07:00"), j.Epoch, j.Position)
	if j.Producer >= 0 {
		a.printf(", producer %d/%d sequence %d", j.Producer, j.PEpoch, j.Sequence)
	}
	for flag, on := range map[string]bool{"transactional": j.Txn && !j.Control, "control": j.Control, "CHECKSUM WRONG": !j.CRCValid} {
		if on {
			a.printf(", %s", flag)
		}
	}
	a.print("\n")
	for _, r := range lines {
		a.print("  " + string(widePrinter(nil, r)))
	}
	return nil
}

// recordOf copies a stored record into the client's form, which is what is printed.
func recordOf(r batch.Record) *kgo.Record {
	out := &kgo.Record{Offset: int64(r.Offset), Timestamp: time.UnixMilli(r.Timestamp), Key: clone(r.Key), Value: clone(r.Value)}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: string(h.Key), Value: clone(h.Value)})
	}
	return out
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
