package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func sample() *kgo.Record {
	return &kgo.Record{Topic: "orders", Partition: 2, Offset: 41, Timestamp: time.UnixMilli(1795522405144), Key: []byte("alice"), Value: []byte("first order"),
		Headers: []kgo.RecordHeader{{Key: "h1", Value: []byte("a")}, {Key: "h2", Value: nil}}}
}

func TestFormat(t *testing.T) {
	tombstone := &kgo.Record{Topic: "t", Timestamp: time.UnixMilli(0)}
	for _, c := range []struct {
		format string
		r      *kgo.Record
		want   string
	}{
		{`%p/%o %k = %s\n`, sample(), "2/41 alice = first order\n"},
		{`%t %T %D`, sample(), "orders 1795522405144 2026-11-24T12:13:25.144Z"},
		{`%h|%K|%S`, sample(), "h1=a,h2=|5|11"},
		{`%K %S`, tombstone, "-1 -1"},
		{`%R`, sample(), "\x00\x00\x00\x0b"},
		{`100%%\t\x41\0\\`, sample(), "100%\tA\x00\\"},
	} {
		p, err := parseFormat(c.format)
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
			continue
		}
		if got := string(p(nil, c.r)); got != c.want {
			t.Errorf("%s prints %q, want %q", c.format, got, c.want)
		}
	}
	for _, bad := range []string{"%", "%q", `\x4`, `\`} {
		if _, err := parseFormat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// What consume -o json prints, produce --input json reads back the same.
func TestJSONRoundTrip(t *testing.T) {
	for name, r := range map[string]*kgo.Record{
		"everything": sample(),
		"tombstone":  {Topic: "t", Timestamp: time.UnixMilli(5), Key: []byte("k")},
		"empty":      {Topic: "t", Timestamp: time.UnixMilli(5), Key: []byte{}, Value: []byte{}},
		"bytes":      {Topic: "t", Timestamp: time.UnixMilli(5), Key: []byte{0xff, 0x00}, Value: []byte{0xc3}, Headers: []kgo.RecordHeader{{Key: "b", Value: []byte{0xfe}}}},
		"html":       {Topic: "t", Timestamp: time.UnixMilli(5), Value: []byte("<a href=\"x\">&</a>\n\u2028")},
	} {
		line := jsonPrinter(nil, r)
		if n := strings.Count(string(line), "\n"); n != 1 {
			t.Errorf("%s takes %d lines", name, n)
		}
		back, err := parseRecord(line)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := jsonPrinter(nil, &kgo.Record{Topic: back.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: back.Timestamp, Key: back.Key, Value: back.Value, Headers: back.Headers}); string(again) != string(line) {
			t.Errorf("%s\nwas  %s\nis   %s", name, line, again)
		}
		if (back.Key == nil) != (r.Key == nil) || (back.Value == nil) != (r.Value == nil) {
			t.Errorf("%s: null and empty were mixed up", name)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"key":"k","value":null,"headers":[{"key":"h","value_base64":"/w=="}],"timestamp":1,"partition":0}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseRecord(line)
		if err != nil {
			return
		}
		if _, err := parseRecord(jsonPrinter(nil, r)); err != nil {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}

func FuzzParseFormat(f *testing.F) {
	f.Add(`%p/%o %k = %s\n`)
	f.Fuzz(func(_ *testing.T, format string) {
		if p, err := parseFormat(format); err == nil {
			p(nil, sample())
		}
	})
}

func TestInputBecomesRecords(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  produceFlags
		hasKey bool
		line   string
		key    string // "-" for null
		value  string
	}{
		{"value", produceFlags{input: "lines"}, false, "a:b", "-", "a:b"},
		{"key", produceFlags{input: "lines", keySep: ":"}, false, "a:b:c", "a", "b:c"},
		{"no separator", produceFlags{input: "lines", keySep: ":"}, false, "abc", "-", "abc"},
		{"tab", produceFlags{input: "lines", keySep: `\t`}, false, "a\tb", "a", "b"},
		{"fixed key", produceFlags{input: "lines", key: "k"}, true, "v", "k", "v"},
		{"empty stays empty", produceFlags{input: "lines", keySep: ":"}, false, "a:", "a", ""},
		{"empty is null", produceFlags{input: "lines", keySep: ":", nullEmpty: true}, false, "a:", "a", "-"},
	} {
		read, err := c.flags.reader(c.hasKey, "t")
		if err != nil {
			t.Fatal(err)
		}
		r, err := read([]byte(c.line))
		if err != nil {
			t.Fatal(err)
		}
		if text(r.Key) != c.key || text(r.Value) != c.value {
			t.Errorf("%s: %s = %s, want %s = %s", c.name, text(r.Key), text(r.Value), c.key, c.value)
		}
	}
	if _, err := (produceFlags{input: "xml"}).reader(false, "t"); err == nil {
		t.Error("xml was accepted")
	}
}

func text(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

func TestStartPoints(t *testing.T) {
	for s, want := range map[string]startPoint{
		"beginning": {kind: atBeginning}, "end": {}, "": {}, "17": {atOffset, 17}, "-5": {beforeEnd, 5}, "@1000": {atTime, 1000},
		"@2026-11-24T00:00:00Z": {atTime, 1795478400000}, "@2026-11-24T01:00:00+0100": {atTime, 1795478400000},
	} {
		got, err := consumeFlags{offset: s}.start()
		if err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
	for _, bad := range []string{"middle", "@yesterday", "1.5"} {
		if _, err := (consumeFlags{offset: bad}).start(); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestTableText(t *testing.T) {
	tab := &table{columns: columns("NAME", ">N", "+EXTRA", "LAST")}
	tab.add("a", 1, "x", "end")
	tab.add("long name", 1000, "y", "")
	if got, want := tab.text(false), "NAME          N  LAST\na             1  end\nlong name  1000  \n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := tab.text(true); !strings.Contains(got, "EXTRA") {
		t.Errorf("wide lacks a column:\n%s", got)
	}
}
