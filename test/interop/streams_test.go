package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/test/interop/clients"
	"github.com/klamm/klamm/test/toolchain"
)

// wordCount is streams/WordCount.java at work, and what it should have counted.
type wordCount struct {
	*patient
	app    *program
	sent   int
	counts map[string]int64
}

// TestStreams lets a Kafka Streams application count words through the loss of brokers, and then restore its state from its changelog.
func TestStreams(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	argv, err := clients.Streams(t.Context())
	if err != nil {
		toolchain.Unavailable(t, "cannot be fetched: "+err.Error())
	}
	w := &wordCount{patient: startPatient(t), counts: map[string]int64{}}
	for _, topic := range []string{"streams.in", "streams.out"} {
		w.makeTopic(topic, 3, nil)
	}
	const repartition, changelog = "wordcount-words-repartition", "wordcount-counts-changelog"
	start := func() {
		w.app = startProgram(t, argv[0], append(argv[1:], w.addr, "streams.in", "streams.out", "wordcount", t.TempDir())...)
	}
	start()
	w.feed(200)
	w.counted("from the start")
	w.healed(repartition, changelog)
	if d, err := w.adm.DescribeTopicConfigs(t.Context(), changelog); err != nil || configOf(d, "cleanup.policy") != "compact" {
		t.Errorf("the changelog's configs: %v %+v", err, d)
	}
	for _, loss := range []struct {
		what  string
		place func() int32
	}{
		{"kill -9 of a changelog's leader", func() int32 { return w.leader(changelog, 0) }},
		{"kill -9 of the application's coordinator", func() int32 { return w.coordinator("wordcount") }},
	} {
		lost := w.place(loss.place())
		w.Kill(lost)
		w.feed(200)
		w.counted(loss.what)
		if err := w.Start(lost); err != nil {
			t.Fatal(err)
		}
		w.healed("streams.in", "streams.out", repartition, changelog, "__consumer_offsets")
	}
	if got := w.app.ask("stop"); got != "stopped" {
		t.Fatalf("%q", got)
	}
	w.sameInTopic("streams.out")
	start() // with an empty folder
	w.counted("restored from the changelog")
	if t.Failed() {
		return
	}
	ran.Lock()
	defer ran.Unlock()
	for _, what := range []string{"a word count with a repartition topic, a state store and its changelog, at least once", "the loss of a leader and of the coordinator",
		"a state restored from its changelog"} {
		ran.Streams = append(ran.Streams, Line{Program: "Kafka Streams " + clients.StreamsVersion, What: what})
	}
}

// feed writes lines of three words each.
func (w *wordCount) feed(lines int) {
	w.t.Helper()
	cl := client(w.t, w.addr)
	for range lines {
		words := []string{"every", "line" + strconv.Itoa(w.sent%5), "word" + strconv.Itoa(w.sent%17)}
		for _, word := range words {
			w.counts[word]++
		}
		cl.Produce(w.t.Context(), &kgo.Record{Topic: "streams.in", Key: fmt.Appendf(nil, "k%d", w.sent%11), Value: []byte(strings.Join(words, " "))}, func(_ *kgo.Record, err error) {
			if err != nil {
				w.t.Error(err)
			}
		})
		w.sent++
	}
	if err := cl.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// counted waits until the application has counted all that was sent. It may count more: at least once is what it is told to do.
func (w *wordCount) counted(when string) {
	w.t.Helper()
	begun := time.Now()
	w.eventually(when, func(context.Context) error {
		state, found := w.state()
		for word, n := range w.counts {
			if found[word] < n {
				return fmt.Errorf("the application is %s and counts %d times %q of %d", state, found[word], word, n)
			}
		}
		return nil
	})
	_, found := w.state()
	more := int64(0)
	for word, n := range w.counts {
		more += found[word] - n
	}
	w.t.Logf("%s: all counted after %v, %d too many", when, time.Since(begun).Round(time.Millisecond), more)
}

// state asks the application.
func (w *wordCount) state() (state string, counts map[string]int64) {
	w.t.Helper()
	state, text, _ := strings.Cut(w.app.ask("counts"), " ")
	if state == "failed" {
		w.t.Fatalf("the application failed: %s", text)
	}
	counts = map[string]int64{}
	for _, pair := range strings.Fields(text) {
		word, n, _ := strings.Cut(pair, "=")
		counts[word], _ = strconv.ParseInt(n, 10, 64)
	}
	return state, counts
}

// sameInTopic compares the last count of each word in a topic with what was sent.
func (w *wordCount) sameInTopic(topic string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	ends, err := w.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	cl := client(w.t, w.addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	last := map[string]int64{}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatalf("%d records to go: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			last[string(r.Key)] = int64(binary.BigEndian.Uint64(r.Value))
			left--
		})
	}
	for word, n := range w.counts {
		if last[word] < n {
			w.t.Errorf("%s says %d times %q, sent was %d", topic, last[word], word, n)
		}
	}
}

func configOf(all kadm.ResourceConfigs, key string) string {
	for _, r := range all {
		for _, c := range r.Configs {
			if c.Key == key {
				return c.MaybeValue()
			}
		}
	}
	return ""
}
