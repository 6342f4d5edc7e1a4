package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// fetchLoad reads partitions of one topic from offset 0 until Bytes of record data have come in over all connections.
type fetchLoad struct {
	Addr       string
	Topic      string
	Partitions int
	Conns      int
	MaxBytes   int // asked per request
	Bytes      int64
}

func runFetch(l fetchLoad) (loadResult, error) {
	var res loadResult
	type out struct {
		bytes    int64
		requests int
		err      error
	}
	outs := make(chan out, l.Conns)
	begun := time.Now()
	for c := range l.Conns {
		go func() {
			b, n, err := fetchConn(l, c)
			outs <- out{b, n, err}
		}()
	}
	for range l.Conns {
		o := <-outs
		if o.err != nil {
			return res, o.err
		}
		res.Bytes += o.bytes
		res.Requests += o.requests
	}
	res.Elapsed = time.Since(begun)
	return res, nil
}

// fetchConn keeps one request in flight per partition, as a consumer's fetcher does, and starts over at the log's end.
func fetchConn(l fetchLoad, conn int) (bytes int64, requests int, err error) {
	nc, err := net.Dial("tcp", l.Addr)
	if err != nil {
		return 0, 0, err
	}
	defer nc.Close()
	part := int32(conn % l.Partitions)
	f, at := fetchFrame(l.Topic, part, int32(l.MaxBytes), 500)
	in := bufio.NewReaderSize(nc, 256<<10)
	buf := make([]byte, l.MaxBytes+1<<20)
	var offset int64
	want := l.Bytes / int64(l.Conns)
	for bytes < want {
		binary.BigEndian.PutUint64(f[at:], uint64(offset))
		if _, err := nc.Write(f); err != nil {
			return bytes, requests, err
		}
		body, err := readFrame(in, &buf)
		if err != nil {
			return bytes, requests, err
		}
		records, err := fetchRecords(body)
		if err != nil {
			return bytes, requests, err
		}
		requests++
		bytes += int64(len(records))
		next := nextOffset(records, offset)
		if next == offset {
			next = 0 // the end: read it again from the start
		}
		offset = next
	}
	return bytes, requests, nil
}

// fetchRecords finds the record bytes in a Fetch v11 answer for exactly one partition.
func fetchRecords(b []byte) ([]byte, error) {
	be := binary.BigEndian
	if len(b) < 18 {
		return nil, errors.New("fetch answer cut short")
	}
	if code := int16(be.Uint16(b[8:])); code != 0 {
		return nil, fmt.Errorf("fetch error code %d", code)
	}
	at := 4 + 4 + 2 + 4 + 4 // correlation, throttle, code, session, topic count
	at += 2 + int(be.Uint16(b[at:]))
	at += 4 + 4 // partition count, index
	if code := int16(be.Uint16(b[at:])); code != 0 {
		return nil, fmt.Errorf("fetch error code %d on the partition", code)
	}
	at += 2 + 8 + 8 + 8 // code, high watermark, last stable, log start
	if n := int32(be.Uint32(b[at:])); n > 0 {
		at += int(n) * 16
	}
	at += 4 + 4 // aborted count, preferred replica
	size := int32(be.Uint32(b[at:]))
	if size <= 0 {
		return nil, nil
	}
	return b[at+4 : at+4+int(size)], nil
}

// nextOffset is the offset behind the last whole batch.
func nextOffset(records []byte, from int64) int64 {
	be := binary.BigEndian
	for len(records) >= 61 {
		size := 12 + int(be.Uint32(records[8:]))
		if size > len(records) {
			break
		}
		from = int64(be.Uint64(records)) + int64(be.Uint32(records[23:])) + 1
		records = records[size:]
	}
	return from
}
