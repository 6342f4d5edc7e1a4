package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/test/kafkaref"
	"github.com/klamm/klamm/test/toolchain"
)

// TestQuorum lets kafka-metadata-quorum take votes away and give them (KIP-853). The tool reads the node's id and directory from a configuration
// file and the directory's meta.properties, as it does for Kafka's.
func TestQuorum(t *testing.T) {
	toolchain.Need(t, "java", "javac", "mvn")
	if os.Getenv("KLAMM_TEST_TARGET") == "kafka" {
		t.Skip("Kafka's brokers here have a quorum that is fixed in their configuration; what Kafka answers was read from one by hand")
	}
	node := startBrokers(t, 3)
	k := tools{sh: kafkaref.NewShell(t), node: node}
	leader := func() int {
		t.Helper()
		out := k.do(t, "", "metadata-quorum", "describe --status", `CurrentVoters:`)
		m := regexp.MustCompile(`LeaderId:\s+(\d)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no leader:\n%s", out)
		}
		return int(m[1][0] - '0')
	}
	lead := leader()
	other := lead%3 + 1
	files := k.controllerFiles(t)

	k.do(t, "remove a controller", "metadata-quorum", files[other].remove, "Removed +KRaft controller "+fmt.Sprint(other))
	k.do(t, "a removed one is an observer", "metadata-quorum", "describe --replication", fmt.Sprintf(`\n%d\s+%s\s+\d+\s+0\s+.*Observer`, other, files[other].directory))
	k.refused(t, "", "metadata-quorum", files[other].remove, "VoterNotFoundException: Cannot remove voter ReplicaKey")
	k.do(t, "add a controller", "metadata-quorum", files[other].add, "Added controller "+fmt.Sprint(other))
	k.refused(t, "", "metadata-quorum", files[other].add, "DuplicateVoterException: The voter id for .* is already part of the set of voters")

	k.do(t, "remove the leader", "metadata-quorum", files[lead].remove, "Removed +KRaft controller "+fmt.Sprint(lead))
	if now := leader(); now == lead {
		t.Errorf("%d leads after it was removed", now)
	}
	k.do(t, "", "metadata-quorum", files[lead].add, "Added controller "+fmt.Sprint(lead))

	// With one of three dead, the other two are needed.
	lead = leader()
	dead, alive := lead%3+1, (lead+1)%3+1
	node.klamm.Kill(files[dead].place)
	k.awaitFenced(t, dead)
	k.refused(t, "refuse to lose the quorum", "metadata-quorum", files[alive].remove, "Without voter "+fmt.Sprint(alive)+" the metadata quorum would be lost")
	k.do(t, "remove a dead controller", "metadata-quorum", files[dead].remove, "Removed +KRaft controller "+fmt.Sprint(dead))
}

// controllerFile is what the tool needs to know of one node.
type controllerFile struct {
	place       int // of the node in the target's lists
	directory   string
	add, remove string // arguments
}

// controllerFiles are the nodes' by their ids.
func (k tools) controllerFiles(t *testing.T) map[int]controllerFile {
	t.Helper()
	files := map[int]controllerFile{}
	for i, data := range k.node.data {
		b, err := os.ReadFile(filepath.Join(data, "meta.properties"))
		if err != nil {
			t.Fatal(err)
		}
		id := regexp.MustCompile(`node\.id=(\d)`).FindSubmatch(b)
		dir := regexp.MustCompile(`directory\.id=(\S+)`).FindSubmatch(b)
		if id == nil || dir == nil {
			t.Fatalf("meta.properties: %s", b)
		}
		f := controllerFile{place: i, directory: string(dir[1])}
		config := file(t, strings.Join([]string{
			"process.roles=broker,controller", "node.id=" + string(id[1]), "listeners=CONTROLLER://" + k.node.klamm.Peers[i],
			"controller.listener.names=CONTROLLER", "log.dirs=" + data, "",
		}, "\n"))
		f.add = "--command-config " + config + " add-controller"
		f.remove = fmt.Sprintf("remove-controller --controller-id %s --controller-directory-id %s", id[1], f.directory)
		files[int(id[1][0]-'0')] = f
	}
	return files
}

// awaitFenced waits until the cluster knows that a broker is dead.
func (k tools) awaitFenced(t *testing.T, id int) {
	t.Helper()
	for begin := time.Now(); ; {
		r := k.sh.Do(t, kafkaref.Call{Tool: "broker-api-versions", Args: []string{"--bootstrap-server", k.node.addr}, Limit: time.Minute})
		if !strings.Contains(r.Out, fmt.Sprintf("(id: %d ", id)) {
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("broker %d is not fenced:\n%s", id, r.Out)
		}
	}
}
