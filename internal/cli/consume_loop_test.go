package cli

import (
	"testing"
	"time"
)

// A broker that is too busy to answer was once taken for the end of the topic: consume --exit ended with nothing printed and exit code 0.
func TestSilenceIsNotTheEnd(t *testing.T) {
	for _, tc := range []struct {
		what     string
		quiet    time.Duration
		answered int64
		ended    bool
		failed   bool
	}{
		{"records have just come", time.Second, 0, false, false},
		{"answers without records, for a moment", time.Second, 100, false, false},
		{"answers without records", 6 * time.Second, idleFetches, true, false},
		{"no answers yet", 6 * time.Second, idleFetches - 1, false, false},
		{"no answers", 16 * time.Second, idleFetches - 1, true, true},
	} {
		ended, err := idle(tc.quiet, tc.answered, 15*time.Second)
		if ended != tc.ended || (err != nil) != tc.failed {
			t.Errorf("%s: ended %t, %v", tc.what, ended, err)
		}
	}
}
