package interop

import (
	"slices"
	"strings"
	"testing"
)

func TestTranscriptsAreReadStrictly(t *testing.T) {
	got, err := ParseTranscript([]byte("one: ok n=1\ntwo: error 3\nthree: ok\n"))
	if err != nil || len(got) != 3 || got["one"] != "ok n=1" || got["three"] != "ok" {
		t.Fatalf("%v %v", got, err)
	}
	for _, bad := range []string{"no colon\n", "a name with blanks: ok\n", "twice: ok\ntwice: ok\n"} {
		if _, err := ParseTranscript([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestTranscriptsAreCheckedBothWays(t *testing.T) {
	cases := []Case{{Name: "a", Want: "ok"}, {Name: "b", Want: "error 3"}, {Name: "c", Want: "ok"}, {Name: "d", Want: "ok"}}
	wrong := Transcript{"a": "ok", "b": "ok", "c": "absent no such call", "e": "ok"}.Check(cases)
	slices.Sort(wrong)
	want := []string{`b: "ok", expected "error 3"`, `d: missing, expected "ok"`, `e: not a case`}
	if !slices.Equal(wrong, want) {
		t.Errorf("%q, want %q", wrong, want)
	}
}

func TestDifferencesMustBeListedAndLive(t *testing.T) {
	kafka := Transcript{"same": "ok", "gone": "ok", "listed": "ok 1", "other": "ok 1", "new": "ok 1", "key.a": "ok"}
	klamm := Transcript{"same": "ok", "gone": "ok", "listed": "ok 2 and more", "other": "ok 3", "new": "ok 2", "key.a": "ok", "key.own": "ok"}
	got := compare(kafka, klamm, []Difference{
		{Case: "gone", Klamm: "ok 2"}, {Case: "listed", Klamm: "ok 2*", Reason: "why"}, {Case: "other", Klamm: "ok 2"}, {Case: "never", Klamm: "ok"}, {Case: "key.*", Klamm: "*"},
	})
	if len(got.listed) != 2 || got.listed[0].Case != "key.*" || got.listed[1].Case != "listed" {
		t.Errorf("listed: %+v", got.listed)
	}
	for _, want := range []string{"gone: does not differ any more", "other: differs in another way", "new:", "never: stands in"} {
		if !slices.ContainsFunc(got.unlisted, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("nothing begins with %q in %q", want, got.unlisted)
		}
	}
	if len(got.unlisted) != 4 {
		t.Errorf("%d wrong: %q", len(got.unlisted), got.unlisted)
	}
}

func TestBatchesAreWalkedByTheirLength(t *testing.T) {
	batch := func(codec byte, records int) []byte {
		b := make([]byte, 61+records)
		b[11], b[16], b[22] = byte(49+records), 2, codec
		return b
	}
	got, err := codecsOf(slices.Concat(batch(0, 10), batch(4, 0), batch(2, 5), []byte("cut")))
	if err != nil || !slices.Equal(got, []string{"none", "zstd", "snappy"}) {
		t.Errorf("%v %v", got, err)
	}
	if _, err := codecsOf(batch(7, 0)); err == nil {
		t.Error("codec 7 was taken")
	}
}

func TestCellsAreTheSameOnEveryRun(t *testing.T) {
	for in, want := range map[string]string{
		"ok 1@127.0.0.1:4711, 127.0.0.1:1": "ok 1@ADDR, ADDR",
		"ok /tmp/Test123/001/data x":       "ok DIR x",
		"a|b*":                             `a\|b...`,
		strings.Repeat("x", 200):           strings.Repeat("x", 157) + "...",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
