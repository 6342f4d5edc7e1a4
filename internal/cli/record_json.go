package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordJSON is a record as a line of JSON. It keeps everything a producer can set, so that what consume -o json prints, produce
// --input json writes again the same: null and empty stay apart, and bytes that are no text travel in base64.
type recordJSON struct {
	Topic         string       `json:"topic,omitempty"`
	Partition     *int32       `json:"partition,omitempty"`
	Offset        *int64       `json:"offset,omitempty"`
	Timestamp     *int64       `json:"timestamp,omitempty"` // ms
	TimestampType string       `json:"timestamp_type,omitempty"`
	Headers       []headerJSON `json:"headers,omitempty"`
	Key           *string      `json:"key"`
	Key64         string       `json:"key_base64,omitempty"`
	Value         *string      `json:"value"`
	Value64       string       `json:"value_base64,omitempty"`
}

type headerJSON struct {
	Key     string  `json:"key"`
	Value   *string `json:"value"`
	Value64 string  `json:"value_base64,omitempty"`
}

// jsonPrinter is -o json: one line for each record.
func jsonPrinter(out []byte, r *kgo.Record) []byte {
	line, err := json.Marshal(toJSON(r))
	if err != nil {
		// Every field is a string or a number; there is nothing in it that could fail.
		return append(out, err.Error()...)
	}
	return append(append(out, line...), '\n')
}

func toJSON(r *kgo.Record) recordJSON {
	ms := r.Timestamp.UnixMilli()
	j := recordJSON{Topic: r.Topic, Partition: &r.Partition, Offset: &r.Offset, Timestamp: &ms, TimestampType: "CreateTime"}
	if r.Attrs.TimestampType() == 1 {
		j.TimestampType = "LogAppendTime"
	}
	j.Key, j.Key64 = textOrBase64(r.Key)
	j.Value, j.Value64 = textOrBase64(r.Value)
	for _, h := range r.Headers {
		hj := headerJSON{Key: h.Key}
		hj.Value, hj.Value64 = textOrBase64(h.Value)
		j.Headers = append(j.Headers, hj)
	}
	return j
}

func textOrBase64(b []byte) (text *string, encoded string) {
	switch {
	case b == nil:
		return nil, ""
	case utf8.Valid(b):
		s := string(b)
		return &s, ""
	}
	return nil, base64.StdEncoding.EncodeToString(b)
}

func fromTextOrBase64(text *string, encoded string) ([]byte, error) {
	switch {
	case encoded != "":
		return base64.StdEncoding.DecodeString(encoded)
	case text != nil:
		return []byte(*text), nil
	}
	return nil, nil
}

// parseRecord reads such a line. What consume adds (offset, kind of timestamp) is let through and does nothing.
func parseRecord(line []byte) (*kgo.Record, error) {
	var j recordJSON
	if err := json.Unmarshal(line, &j); err != nil {
		return nil, err
	}
	r := &kgo.Record{Topic: j.Topic, Partition: -1}
	if j.Partition != nil {
		r.Partition = *j.Partition
	}
	if j.Timestamp != nil {
		r.Timestamp = time.UnixMilli(*j.Timestamp)
	}
	var err error
	if r.Key, err = fromTextOrBase64(j.Key, j.Key64); err != nil {
		return nil, fmt.Errorf("key_base64: %w", err)
	}
	if r.Value, err = fromTextOrBase64(j.Value, j.Value64); err != nil {
		return nil, fmt.Errorf("value_base64: %w", err)
	}
	for _, h := range j.Headers {
		v, err := fromTextOrBase64(h.Value, h.Value64)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Key, err)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: v})
	}
	return r, nil
}
