package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Case is one thing that every client does, and what the broker must let it see. A program prints one line per case, "NAME: RESULT", where the
// result is "ok DETAIL", "error CODE" with Kafka's number, or "absent REASON" when the client has no such call. Anything else is a failure.
type Case struct {
	// Name is what stands before the colon, Want the result expected of every client, Text what the documentation says about it.
	Name, Want, Text string
}

// Cases is what each client goes through, in this order. P is the prefix of names that the program is given.
//
// The records of P-CODEC have keys k-0 to k-49, values v-CODEC-N followed by 300 times x, timestamps a second apart that begin ten minutes
// ago, and a header h=N, all sent in as few batches as the client can.
func Cases() []Case {
	const records = "ok records=50 last=49"
	return []Case{
		{"topic.create", "ok partitions=3", "create a topic with 3 partitions and a config"},
		{"topic.config", "ok retention.ms=3600000", "describe its config"},
		{"topic.partitions", "ok partitions=5", "add partitions"},
		{"topic.exists", "error 36", "create it again: TOPIC_ALREADY_EXISTS"},
		{"topic.bad-config", "error 40", "create with a bad value: INVALID_CONFIG"},
		{"topic.bad-name", "error 17", "create with a bad name: INVALID_TOPIC_EXCEPTION"},
		{"topic.delete", "ok listed=false", "delete it"},
		{"topic.unknown", "error 3", "delete an unknown topic: UNKNOWN_TOPIC_OR_PARTITION"},
		{"produce.none", records, "produce uncompressed"},
		{"produce.gzip", records, "produce with gzip"},
		{"produce.snappy", records, "produce with snappy"},
		{"produce.lz4", records, "produce with lz4"},
		{"produce.zstd", records, "produce with zstd"},
		{"produce.too-large", "error 10", "produce more than max.message.bytes: MESSAGE_TOO_LARGE"},
		{"consume.beginning", "ok records=250 wrong=0", "consume all five from the beginning; keys, values, timestamps, headers"},
		{"consume.from-time", "ok offset=25", "find the offset of a timestamp"},
		{"consume.out-of-range", "error 1", "fetch behind the end: OFFSET_OUT_OF_RANGE"},
		{"offsets.ends", "ok first=0 next=50", "first and next offset"},
		{"group.join", "ok partitions=4", "one member owns all partitions"},
		{"group.share", "ok partitions=2+2", "a second joins: rebalance"},
		{"group.records", "ok records=40 twice=0", "both consume, nothing twice"},
		{"group.leave", "ok partitions=4", "one leaves: rebalance"},
		{"offsets.commit", "ok offset=7", "commit and fetch an offset"},
		{"offsets.resume", "ok offset=7", "a new member resumes there"},
		{"offsets.reset", "ok offset=0", "reset the group's offset; a new member starts there"},
		{"group.delete", "ok", "delete the group"},
		{"group.unknown", "error 69", "delete an unknown group: GROUP_ID_NOT_FOUND"},
		{"records.delete", "ok first=10", "delete records before an offset"},
	}
}

// Transcript is what a program printed: results by case.
type Transcript map[string]string

// ParseTranscript reads "NAME: RESULT" lines; any other line is an error.
func ParseTranscript(out []byte) (Transcript, error) {
	t := Transcript{}
	for in := bufio.NewScanner(bytes.NewReader(out)); in.Scan(); {
		name, result, ok := strings.Cut(in.Text(), ": ")
		if !ok || strings.Contains(name, " ") {
			return nil, fmt.Errorf("not a line of a transcript: %q", in.Text())
		}
		if _, twice := t[name]; twice {
			return nil, fmt.Errorf("the case %s stands there twice", name)
		}
		t[name] = result
	}
	return t, nil
}

// Check compares a transcript with the cases; what it returns is one line per difference.
func (t Transcript) Check(cases []Case) []string {
	var wrong []string
	known := map[string]bool{}
	for _, c := range cases {
		known[c.Name] = true
		got, ok := t[c.Name]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s: missing, expected %q", c.Name, c.Want))
		} else if got != c.Want && !strings.HasPrefix(got, "absent ") {
			wrong = append(wrong, fmt.Sprintf("%s: %q, expected %q", c.Name, got, c.Want))
		}
	}
	for name := range t {
		if !known[name] {
			wrong = append(wrong, name+": not a case")
		}
	}
	return wrong
}
