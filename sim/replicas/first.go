package replicas

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/klamm/klamm/internal/batch"
)

// Batch is one record batch as it lies in a log. Bytes need to stay only until the next one is asked for.
type Batch struct {
	Base, Last int64
	Bytes      []byte
}

// Reader is one replica of a partition.
type Reader struct {
	Name string
	// LogStart and HighWatermark bound what the replica vouches for.
	LogStart, HighWatermark int64
	// Batches yields all batches in order, from the beginning of the log or anywhere below LogStart.
	Batches iter.Seq2[Batch, error]
}

// Difference is where two replicas are not the same.
type Difference struct {
	Offset int64
	A, B   string
	Text   string
}

// String is the difference in one line.
func (d Difference) String() string {
	return fmt.Sprintf("%s and %s differ at offset %d: %s", d.A, d.B, d.Offset, d.Text)
}

// First finds the first difference between replicas in the offsets that all of them vouch for, and how many bytes of each were the same before.
// Where segments begin does not matter. An error is one of reading.
func First(replicas []Reader) (d *Difference, same int64, err error) {
	if len(replicas) < 2 {
		return nil, 0, nil
	}
	from, to := replicas[0].LogStart, replicas[0].HighWatermark
	walks := make([]*walk, len(replicas))
	for i, r := range replicas {
		from, to = max(from, r.LogStart), min(to, r.HighWatermark)
		walks[i] = &walk{Reader: r}
		var stop func()
		walks[i].next, stop = iter.Pull2(r.Batches)
		defer stop()
	}
	for at := from; at < to; {
		var first Batch
		for i, w := range walks {
			b, err := w.at(at)
			if err != nil {
				return nil, same, fmt.Errorf("%s: %w", w.Name, err)
			}
			if i == 0 {
				first = b
			} else if text := unlike(first, b); text != "" {
				return &Difference{Offset: at, A: walks[0].Name, B: w.Name, Text: text}, same, nil
			}
		}
		if first.Bytes == nil {
			return &Difference{Offset: at, A: walks[0].Name, B: walks[1].Name, Text: fmt.Sprintf("all logs end here, below the high watermark of %d", to)}, same, nil
		}
		same += int64(len(first.Bytes))
		at = first.Last + 1
	}
	return nil, same, nil
}

// walk is how far a replica was read.
type walk struct {
	Reader
	next func() (Batch, error, bool)
	done bool
}

// at is the first batch that reaches offset; without bytes at the end of the log.
func (w *walk) at(offset int64) (Batch, error) {
	for !w.done {
		b, err, ok := w.next()
		if err != nil {
			return Batch{}, err
		}
		if !ok {
			w.done = true
			break
		}
		if b.Last >= offset {
			return b, nil
		}
	}
	return Batch{}, nil
}

// unlike says what two batches that must be one differ in; "" when they are the same.
func unlike(a, b Batch) string {
	switch {
	case a.Bytes == nil && b.Bytes == nil:
		return ""
	case a.Bytes == nil || b.Bytes == nil:
		return fmt.Sprintf("%s here, %s there", span(a), span(b))
	case a.Base != b.Base || a.Last != b.Last:
		return fmt.Sprintf("batch %s here, %s there", span(a), span(b))
	case bytes.Equal(a.Bytes, b.Bytes):
		return ""
	}
	n := 0
	for n < min(len(a.Bytes), len(b.Bytes)) && a.Bytes[n] == b.Bytes[n] {
		n++
	}
	return fmt.Sprintf("batch %s: byte %d of %d and %d is the first that differs%s%s", span(a), n, len(a.Bytes), len(b.Bytes), damage("first", a), damage("second", b))
}

func span(b Batch) string {
	if b.Bytes == nil {
		return "end of the log"
	}
	return fmt.Sprintf("%d..%d", b.Base, b.Last)
}

// damage says whether a batch is not even what its own checksum says.
func damage(which string, b Batch) string {
	if err := batch.VerifyCRC(b.Bytes); err != nil {
		return fmt.Sprintf("; the %s is damaged (%v)", which, err)
	}
	return ""
}
