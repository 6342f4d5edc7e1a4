package history

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestHistoryIsReadAsItWasWritten(t *testing.T) {
	for _, tc := range anomalies() {
		tp := newTape()
		tc.bad(tp)
		want := tp.History()
		var b bytes.Buffer
		if err := Write(&b, want); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		// A poll that returned nothing has no mops on paper.
		for i := range want {
			if len(want[i].Mops) == 0 {
				want[i].Mops = nil
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %+v, want %+v", tc.kind, got, want)
		}
		if a, b := Check(got, tc.o), Check(want, tc.o); !reflect.DeepEqual(a, b) {
			t.Fatalf("%s: %v from the file, %v from memory", tc.kind, a, b)
		}
	}
}

func TestHistoryWithMissingLinesIsRefused(t *testing.T) {
	tp := newTape()
	tp.three()
	var b bytes.Buffer
	if err := Write(&b, tp.History()); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.String(), "\n")
	for _, text := range []string{rest, b.String()[:b.Len()/2], `{"i":0,"of":1}`, `{"i":0,"of":0,"mops":[{"k":"t"}]}`, `{"i":0,"mops":[{"k":"t-x"}]}`} {
		if h, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("read %d ops of %q", len(h), text)
		}
	}
}

func TestKeysWithDashesInTheirTopic(t *testing.T) {
	var k Key
	if err := k.UnmarshalText([]byte("a-b-12")); err != nil || k != (Key{"a-b", 12}) || k.String() != "a-b-12" {
		t.Fatalf("%+v %v", k, err)
	}
}

func TestLimitBoundsWhatIsTold(t *testing.T) {
	tp := newTape()
	for i := range int64(50) {
		tp.poll(1, rec(i, i+1))
	}
	if n := len(Check(tp.History(), Options{Limit: 3})); n != 3 {
		t.Fatalf("%d anomalies", n)
	}
}
