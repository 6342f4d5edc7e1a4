package reset

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMove(t *testing.T) {
	for _, c := range []struct {
		name string
		at   position
		spec Spec
		want int64
	}{
		{"earliest", position{5, 2, 9, -1}, Spec{Kind: ToEarliest}, 2},
		{"latest", position{5, 2, 9, -1}, Spec{Kind: ToLatest}, 9},
		{"current", position{5, 2, 9, -1}, Spec{Kind: ToCurrent}, 5},
		{"current of nothing is the end", position{-1, 2, 9, -1}, Spec{Kind: ToCurrent}, 9},
		{"offset", position{5, 2, 9, -1}, Spec{Kind: ToOffset, Offset: 4}, 4},
		{"offset before the start", position{5, 2, 9, -1}, Spec{Kind: ToOffset, Offset: 0}, 2},
		{"offset behind the end", position{5, 2, 9, -1}, Spec{Kind: ToOffset, Offset: 100}, 9},
		{"shift", position{5, 2, 9, -1}, Spec{Kind: ShiftBy, Offset: -2}, 3},
		{"shift too far", position{5, 2, 9, -1}, Spec{Kind: ShiftBy, Offset: -20}, 2},
		{"time", position{5, 2, 9, 6}, Spec{Kind: ToTime}, 6},
		{"time behind the last record", position{5, 2, 9, -1}, Spec{Kind: ToTime}, 9},
	} {
		m, err := move(Partition{"t", 0}, c.at, c.spec)
		if err != nil || m.To != c.want {
			t.Errorf("%s: %d %v, want %d", c.name, m.To, err, c.want)
		}
	}
	if _, err := move(Partition{"t", 0}, position{-1, 0, 9, -1}, Spec{Kind: ShiftBy, Offset: 1}); err == nil ||
		err.Error() != "Cannot shift offset for partition t-0 since there is no current committed offset" {
		t.Error(err)
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"PT1H": time.Hour, "P1D": 24 * time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond, "-PT5S": -5 * time.Second, "90m": 90 * time.Minute, "pt1s": time.Second,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", s, got, err, want)
		}
	}
	for _, bad := range []string{"", "P", "PT", "P1M", "1D", "PTH", "P1DT"} {
		if got, err := ParseDuration(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 11, 24, 8, 30, 0, 5e6, time.UTC)
	for _, s := range []string{"2026-11-24T08:30:00.005", "2026-11-24T08:30:00.005Z", "2026-11-24T09:30:00.005+01:00", "2026-11-24T09:30:00.005+0100", "2026-11-24T09:30:00.005+01"} {
		if got, err := ParseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	if _, err := ParseTime("2026-11-24"); err == nil || !strings.Contains(err.Error(), "does not contain a 'T'") {
		t.Error(err)
	}
}

func TestParseCSV(t *testing.T) {
	got, err := ParseCSV(strings.NewReader("\"orders\",0,1\norders,1,0\ng,other,2,5\n"))
	want := map[string]map[Partition]int64{"": {{"orders", 0}: 1, {"orders", 1}: 0}, "g": {{"other", 2}: 5}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"a,b", "t,x,1", "t,1,x", "a,b,c,d,e"} {
		if _, err := ParseCSV(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("P1DT2H3M4.5S")
	f.Add("2026-11-24T08:30:00.005+01:00")
	f.Add("g,t,0,1\n")
	f.Fuzz(func(_ *testing.T, s string) {
		_, _ = ParseDuration(s)
		_, _ = ParseTime(s)
		_, _ = ParseCSV(strings.NewReader(s))
	})
}
