package coordinator

import "github.com/klamm/klamm/internal/model"

// Log is the partition a shard keeps its records in. Node implements it over replication.Partition.
//
// Errors may carry a model.ErrorCode (errors.As); the group room tells clients what follows from it.
type Log interface {
	// Append adds one record batch at the end, in leader epoch, and returns the offset of its first record. It does not wait for
	// anything but the write. committed is called once, from any goroutine and perhaps before Append returns: with nil when the high
	// watermark is past the batch, with an error when that will not happen under this leader. When Append itself fails nothing was
	// appended and committed is never called. A later batch is never committed before an earlier one.
	Append(batch []byte, epoch model.LeaderEpoch, committed func(error)) (model.Offset, error)
	// Read returns whole batches from the one that holds offset from on, at most about maxBytes of them but at least one; nothing when
	// from is the end. What it returns may reach up to the log end, past the high watermark.
	Read(from model.Offset, maxBytes int) ([]byte, error)
	// Bounds are the log start offset and the log end offset.
	Bounds() (start, end model.Offset)
	// HighWatermark is the offset up to which the log is committed. A shard serves only after it has reached the end that was replayed.
	HighWatermark() model.Offset
}
