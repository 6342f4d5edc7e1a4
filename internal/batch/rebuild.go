package batch

import (
	"slices"
	"sync"

	"github.com/klamm/klamm/internal/model"
)

// builders holds builders with their encoders for reuse.
var builders = sync.Pool{New: func() any { return new(Builder) }}

// rebuild writes a batch anew, in the topic's compression.
func (w *workspace) rebuild(b []byte, h *Header, r *Rules) (Checked, error) {
	codec := h.Attributes.Codec()
	o := BuildOptions{
		LeaderEpoch: h.LeaderEpoch, Codec: codec, ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch,
		BaseSequence: h.BaseSequence, Transactional: h.Attributes.Transactional(),
	}
	if r.Codec != ProducerCodec {
		o.Codec, o.Level = r.Codec, r.Level
	}
	if err := w.open(b[HeaderSize:], codec, LimitsFor(r.MaxBytes).budget()); err != nil {
		return Checked{}, asRefusal(err, r)
	}
	return build(o, r, func(add func(*Record) error) error {
		for range h.Count {
			rec, err := w.record(h)
			if err == nil {
				err = add(&rec)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// build makes the batch that takes the place of what came. It stops as soon as that is larger than allowed.
func build(o BuildOptions, r *Rules, records func(add func(*Record) error) error) (Checked, error) {
	out := builders.Get().(*Builder)
	defer builders.Put(out)
	out.Reset(o)
	err := records(func(rec *Record) error {
		out.Add(*rec)
		if o.Codec == None && r.MaxBytes > 0 && out.Size() > r.MaxBytes {
			return r.tooLarge(out.Size())
		}
		return nil
	})
	if err != nil {
		return Checked{}, asRefusal(err, r)
	}
	b := slices.Clone(out.Bytes())
	if r.MaxBytes > 0 && len(b) > r.MaxBytes {
		return Checked{}, r.tooLarge(len(b))
	}
	if r.LogAppendTime {
		SetLogAppendTime(b, r.NowMs)
	}
	h, err := ParseHeader(b)
	if err != nil {
		return Checked{}, asRefusal(err, r)
	}
	return Checked{Records: b, Header: h, MaxTimestamp: h.MaxTimestamp}, nil
}

func (r *Rules) tooLarge(size int) error {
	return refuse(model.MessageTooLarge,
		"Message batch size is %d in append to partition %v which exceeds the maximum configured size of %d.", size, r.TP, r.MaxBytes)
}
