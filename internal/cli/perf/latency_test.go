package perf

import (
	"testing"
	"time"
)

func TestBucketsAreNarrowAndOrdered(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<40; us = us*21/20 + 1 {
		b := bucketOf(us)
		if b < last {
			t.Fatalf("%d us is in bucket %d, behind %d", us, b, last)
		}
		last = b
		if low := lowest(b); low > us || float64(us-low) > float64(us)*0.01 {
			t.Fatalf("%d us is in a bucket that begins at %d", us, low)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var l Latencies
	if l.Quantile(0.5) != 0 || l.Mean() != 0 {
		t.Fatal("an empty histogram has quantiles")
	}
	for i := 1; i <= 1000; i++ {
		l.Record(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 501 * time.Millisecond, 0.99: 991 * time.Millisecond, 1: time.Second} {
		if got := l.Quantile(q); got < want*99/100 || got > want {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if l.Max() != time.Second || l.Count() != 1000 || l.Mean() != 500500*time.Microsecond {
		t.Errorf("max %v count %d mean %v", l.Max(), l.Count(), l.Mean())
	}
}

// The lines are those of Apache Kafka 4.3.1, which scripts parse.
func TestLines(t *testing.T) {
	p := Produced{Records: 20000, Bytes: 2000000, Elapsed: 2 * time.Second, Latency: &Latencies{}}
	for range 20000 {
		p.Latency.Record(10 * time.Millisecond)
	}
	if got, want := p.Line(""), "20000 records sent, 10000.000000 records/sec (0.95 MB/sec), 10.00 ms avg latency, 10.00 ms max latency, 10 ms 50th, 10 ms 95th, 10 ms 99th, 10 ms 99.9th."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w := Window{Records: 100, Bytes: 1 << 20, Elapsed: time.Second, Mean: 1500 * time.Microsecond, Longest: 2 * time.Millisecond}
	if got, want := w.Line(), "100 records sent, 100.0 records/sec (1.00 MB/sec), 1.5 ms avg latency, 2.0 ms max latency."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	begun := time.Date(2026, 11, 24, 11, 35, 10, 886e6, time.UTC)
	c := Consumed{Begun: begun, Ended: begun.Add(602 * time.Millisecond), Records: 20141, Bytes: 2014100, Joining: 386 * time.Millisecond}
	if got, want := c.Line(), "2026-11-24 11:35:10:886, 2026-11-24 11:35:11:488, 1.9208, 3.1907, 20141, 33456.8106, 386, 216, 8.8926, 93245.3704"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
