package interop

import (
	"strings"
	"testing"
	"time"
)

// TestReassignDirectories does the same for moves between the directories of a broker, and kafka-log-dirs.
func TestReassignDirectories(t *testing.T) {
	tell(t, "logdirs.txt", (*story).directories)
	recordTool("reassign-partitions", "moves between directories (log_dirs), with a throttle, cancelled")
	recordTool("log-dirs", "current and future replicas of a move")
}

// directories moves replicas from one directory of a broker to another, and shows what is in which.
func (s *story) directories() {
	s.exact = true
	s.call(reassignTool, "--execute", "--reassignment-json-file", plan(part("m", 0, "2"), part("m", 1, "3,1")))
	there, back := plan(part("m", 0, "2", "DIR/node2/two")), plan(part("m", 0, "2", "DIR/node2/one"))
	s.settle(there)
	s.settle(back)
	s.scene("move to another directory", reassignTool, "--execute", "--reassignment-json-file", there)
	s.until("done", "Reassignment of replica m-0-2 completed successfully.", reassignTool, "--verify", "--reassignment-json-file", there)
	s.scene("move to where it is", reassignTool, "--execute", "--reassignment-json-file", there)
	s.scene("slowly", reassignTool, "--execute", "--reassignment-json-file", back, "--replica-alter-log-dirs-throttle", "20000")
	s.scene("on the way", reassignTool, "--verify", "--preserve-throttles", "--reassignment-json-file", back)
	s.scene("no replica moves to another broker", reassignTool, "--list")
	s.scene("the current and the future replica", "log-dirs", "--describe", "--broker-list", "2", "--topic-list", "m")
	s.scene("the broker's throttle", "configs", "--describe", "--entity-type", "brokers", "--entity-name", "2")
	s.scene("cancel", reassignTool, "--cancel", "--reassignment-json-file", back)
	s.until("stays", "is not being moved", reassignTool, "--verify", "--reassignment-json-file", back)
	s.scene("only the current replica", "log-dirs", "--describe", "--broker-list", "2", "--topic-list", "m")
	s.scene("slowly again", reassignTool, "--execute", "--reassignment-json-file", back, "--replica-alter-log-dirs-throttle", "20000")
	s.scene("to a third directory on the way", reassignTool, "--execute", "--additional", "--reassignment-json-file", there)
	s.scene("and faster", reassignTool, "--execute", "--additional", "--reassignment-json-file", back, "--replica-alter-log-dirs-throttle", "100000000")
	s.until("done", "Reassignment of replica m-0-2 completed successfully.", reassignTool, "--verify", "--reassignment-json-file", back)
	both := plan(part("m", 0, "2,4", "DIR/node2/two", "DIR/node4/one"))
	s.scene("to another directory and another broker", reassignTool, "--execute", "--reassignment-json-file", both)
	s.until("done", "m-0 is completed.\nReassignment of replica m-0-2 completed successfully.\nReassignment of replica m-0-4 completed successfully.", reassignTool, "--verify", "--reassignment-json-file", both)
	s.scene("unknown topic", "log-dirs", "--describe", "--broker-list", "2", "--topic-list", "nope")
	s.scene("unknown broker", "log-dirs", "--describe", "--broker-list", "2,9", "--topic-list", "m")
}

// settle carries a plan out and writes nothing down.
func (s *story) settle(plan string) {
	s.t.Helper()
	s.call(reassignTool, "--execute", "--reassignment-json-file", plan)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.call(reassignTool, "--verify", "--reassignment-json-file", plan).Out, "successfully"); {
		if time.Now().After(deadline) {
			s.t.Fatal("no end of " + plan)
		}
	}
}
