package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Scripts loop over the lists of a description: one that is empty is [], never null.
func TestEmptyListsAreListsInJSON(t *testing.T) {
	d := detailOf(kadm.TopicDetail{Topic: "t", Partitions: kadm.PartitionDetails{0: {}}}, nil, nil, nil)
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "null") {
		t.Errorf("null in %s", b)
	}
}
