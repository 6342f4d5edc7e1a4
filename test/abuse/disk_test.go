package abuse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/test/process"
)

// smallDisk mounts a file system of its own, or skips the test where that is not allowed.
func smallDisk(t *testing.T, mibs int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("klamm-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mibs)); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill takes all the room there is on a disk, and returns how to give it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := mib; chunk >= 4096; {
		if _, err := f.Write(make([]byte, chunk)); errors.Is(err, syscall.ENOSPC) {
			chunk /= 4
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull (invariant S4): with the disk full, producing fails by an error that clients retry, what is there is read all the while, and
// once there is room again writing goes on by itself. A producer that retries loses nothing and doubles nothing over it.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, 192)
	node := process.Start(t, filepath.Join(dir, "data"), "")
	tg := &target{addr: node.Kafka, node: node}
	patient, impatient := fresh(t)+"-patient", fresh(t)+"-impatient"
	tg.createTopic(t, patient, 1, nil)
	tg.createTopic(t, impatient, 1, nil)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl := tg.client(t, kgo.DefaultProduceTopic(patient), kgo.RecordDeliveryTimeout(90*time.Second), kgo.RecordRetries(1<<30),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }), kgo.ProducerBatchCompression(kgo.NoCompression()))
	sent := 0
	produce := func(n int) {
		t.Helper()
		for range n {
			r := &kgo.Record{Key: []byte(strconv.Itoa(sent)), Value: make([]byte, 10_000)}
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatalf("record %d: %v", sent, err)
			}
			sent++
		}
	}
	produce(100)

	free := fill(t, dir)
	c := tg.dial(t)
	taken := 0
	var refused *kerr.Error
	for ; refused == nil && taken < 1000; taken++ {
		r := c.produce(t, newestByName, impatient, 0, bigBatch())
		refused = kerr.TypedErrorForCode(r.ErrorCode)
		if refused != nil && r.BaseOffset != -1 {
			t.Errorf("refused, with base offset %d", r.BaseOffset)
		}
	}
	if refused == nil || !refused.Retriable {
		t.Fatalf("on a full disk: %v after %d batches, want an error that clients retry", refused, taken)
	}
	t.Logf("the disk was full after %d batches: %v", taken, refused)
	end := tg.endOffset(t, impatient, 0)
	if end != int64(taken-1) {
		t.Errorf("the partition ends at %d, want %d", end, taken-1)
	}
	if got := tg.read(t, patient, 100); got != 100 {
		t.Errorf("%d of 100 records can be read on a full disk", got)
	}
	later := make(chan error, 1)
	go func() {
		later <- cl.ProduceSync(ctx, &kgo.Record{Key: []byte(strconv.Itoa(sent)), Value: make([]byte, 500_000)}).FirstErr()
	}()
	select {
	case err := <-later:
		t.Fatalf("half a megabyte was taken on a full disk, or given up: %v", err)
	case <-time.After(2 * time.Second): // the client tries again and again
	}

	free()
	if err := <-later; err != nil {
		t.Fatalf("with room again: %v", err)
	}
	sent++
	produce(50)
	if r := c.produce(t, newestByName, impatient, 0, bigBatch()); r.ErrorCode != 0 || r.BaseOffset != end {
		t.Errorf("with room again: %v at %d, want %d", kerr.ErrorForCode(r.ErrorCode), r.BaseOffset, end)
	}
	if got := tg.read(t, patient, sent); got != sent {
		t.Errorf("%d of %d records are there in the end", got, sent)
	}
	if end := tg.endOffset(t, patient, 0); end != int64(sent) {
		t.Errorf("the partition ends at %d, want %d", end, sent)
	}
	tg.checkAlive(t)
	if err := node.Terminate(20 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestRestartOnFullDisk kills the process on a full disk and starts it again: it must come up and let what is there be read, and write
// again once there is room.
func TestRestartOnFullDisk(t *testing.T) {
	dir := smallDisk(t, 192)
	data := filepath.Join(dir, "data")
	node := process.Start(t, data, "")
	tg := &target{addr: node.Kafka, node: node}
	topic := fresh(t)
	tg.createTopic(t, topic, 1, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := tg.client(t, kgo.DefaultProduceTopic(topic))
	for i := range 50 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Key: []byte(strconv.Itoa(i)), Value: make([]byte, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	free := fill(t, dir)
	c := tg.dial(t)
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 6, 5_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic+"-2", 10, 1
	create.Topics = append(create.Topics, rt)
	code := c.mustAsk(t, create).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	t.Logf("create a topic on a full disk: %v", kerr.ErrorForCode(code))

	node.Kill()
	node, err := process.TryStart(process.Binary(t), data, node.Kafka)
	if err != nil {
		t.Fatalf("restart on a full disk: %v", err)
	}
	t.Cleanup(node.Kill)
	tg.node = node
	if got := tg.read(t, topic, 50); got != 50 {
		t.Errorf("%d of 50 records can be read after a restart on a full disk", got)
	}
	free()
	if err := cl.ProduceSync(ctx, &kgo.Record{Key: []byte("50")}).FirstErr(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := tg.read(t, topic, 51); got != 51 {
		t.Errorf("%d of 51 records are there in the end", got)
	}
	tg.checkAlive(t)
}

// bigBatch is one record of 100 kB.
func bigBatch() []byte {
	b := goodBatch(1)
	b.records[0].Value = make([]byte, 100_000)
	return b.bytes()
}

// read consumes n records, whose keys must count from 0, and returns how many came within 20 seconds.
func (tg *target) read(t *testing.T, topic string, n int) (got int) {
	t.Helper()
	cl := tg.client(t, kgo.ConsumeTopics(topic))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for got < n && ctx.Err() == nil {
		for _, r := range cl.PollFetches(ctx).Records() {
			if string(r.Key) != strconv.Itoa(got) {
				t.Fatalf("record %d at offset %d is %s", got, r.Offset, r.Key)
			}
			got++
		}
	}
	return got
}

// TestSecondProcess (invariant S9): a data directory belongs to one process. The second is told so and ends; the first notices nothing.
func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	node := process.Start(t, dir, "")
	tg := &target{addr: node.Kafka, node: node}
	h := tg.serve(t)
	begun := time.Now()
	second, err := process.TryStart(process.Binary(t), dir, "")
	if err == nil {
		second.Kill()
		t.Fatal("a second process runs on the same data directory")
	}
	t.Logf("after %s: %v", time.Since(begun), err)
	text := strings.ToLower(err.Error())
	if !strings.Contains(text, strings.ToLower(dir)) || !strings.Contains(text, "another") && !strings.Contains(text, "already") && !strings.Contains(text, "in use") {
		t.Errorf("the message does not say what is wrong with which directory: %v", err)
	}
	h.stop(t, 5*time.Second)

	// The directory is free as soon as its process is gone, however it went.
	node.Kill()
	third, err := process.TryStart(process.Binary(t), dir, "")
	if err != nil {
		t.Fatalf("after the first was killed: %v", err)
	}
	third.Kill()
}

// TestPortInUse: the message names the address.
func TestPortInUse(t *testing.T) {
	node := process.Start(t, t.TempDir(), "")
	second, err := process.TryStart(process.Binary(t), t.TempDir(), node.Kafka)
	if err == nil {
		second.Kill()
		t.Fatal("two processes listen on one address")
	}
	if !strings.Contains(err.Error(), node.Kafka) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the message does not say which address is taken: %v", err)
	}
}
