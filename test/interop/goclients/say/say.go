// Package say prints the lines that the interop test reads: "NAME: ok DETAIL", "NAME: error CODE" (Kafka's number), "NAME: absent WHY" for
// what the client cannot do, "NAME: failed WHY" for the rest.
package say

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is an error that carries Kafka's error number.
type Code int

// Error implements error.
func (c Code) Error() string { return fmt.Sprintf("Kafka error %d", int(c)) }

// Absent is the reason why a client does not take part in a case.
type Absent string

// Error implements error.
func (a Absent) Error() string { return string(a) }

// Codecs are the compressions that every client produces with.
func Codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

const (
	// Records is how many records are produced with each codec.
	Records = 50
	// Limit bounds every wait.
	Limit = 30 * time.Second
)

// Case runs one case and prints its line.
func Case(name string, body func() (string, error)) {
	detail, err := body()
	var code Code
	var absent Absent
	switch {
	case err == nil:
		fmt.Println(strings.TrimSpace(name + ": ok " + detail))
	case errors.As(err, &code):
		fmt.Printf("%s: error %d\n", name, int(code))
	case errors.As(err, &absent):
		fmt.Printf("%s: absent %s\n", name, string(absent))
	default:
		fmt.Printf("%s: failed %v\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
	}
}

// Value is what record i of a codec's topic holds.
func Value(codec string, i int) string {
	return fmt.Sprintf("v-%s-%d-%s", codec, i, strings.Repeat("x", 300))
}

// Key is the key of record i.
func Key(i int) string { return fmt.Sprintf("k-%d", i) }

// Noise is n bytes that no codec makes smaller.
func Noise(n int) []byte {
	out := make([]byte, n)
	x := uint32(2463534242)
	for i := range out {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		out[i] = byte(x)
	}
	return out
}

// Wait polls a condition until it holds or Limit is over.
func Wait(holds func() bool) {
	for end := time.Now().Add(Limit); !holds() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}
