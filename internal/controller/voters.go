package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// VoterKey names a member of the metadata quorum: a node and its directory (KIP-853).
type VoterKey struct {
	ID          model.BrokerID
	DirectoryID model.UUID
}

// String is how Kafka's messages show a key.
func (k VoterKey) String() string {
	return fmt.Sprintf("ReplicaKey(id=%d, directoryId=%s)", k.ID, k.DirectoryID)
}

func keyOf(v *metadata.Voter) VoterKey { return VoterKey{v.NodeID, v.DirectoryID} }

// ErrLeads says that this node leads the quorum that it is to leave. Leadership has to move first: a leader that goes leaves the others to
// find that out and to elect.
var ErrLeads = errors.New("this node leads the metadata quorum that it is to leave")

// follows is Log.Follows.
type follows func(directory model.UUID) (answers, caught bool)

// AddVoter gives a learner its vote (API 80). REQUEST_TIMED_OUT says that it may come to that yet.
func (c *Controller) AddVoter(ctx context.Context, k VoterKey) (Outcome, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, Outcome) {
		c.because("order", "ordered by an administrator")
		return addVoter(img, k, c.o.Log.Follows)
	})
}

func addVoter(img *metadata.Image, k VoterKey, f follows) ([]metadata.Record, Outcome) {
	var learner *metadata.Voter
	for _, v := range img.Voters() {
		switch {
		case v.NodeID == k.ID && !v.Learner:
			return nil, failure(model.DuplicateVoter, "The voter id for %s is already part of the set of voters %s.", k, voterSet(img))
		case v.DirectoryID == k.DirectoryID && v.NodeID != k.ID:
			return nil, failure(model.InvalidRequest, "Directory %s is that of node %d, not of node %d", k.DirectoryID, v.NodeID, k.ID)
		case keyOf(v) == k:
			learner = v
		}
	}
	if learner == nil {
		return nil, failure(model.InvalidRequest, "%s does not follow the metadata log. Start the node with --join and the address of a member first, and take its id and "+
			"directory id from `klamm cluster quorum`", k)
	}
	if _, caught := f(k.DirectoryID); !caught {
		return nil, failure(model.RequestTimedOut, "Aborted add voter operation for %s since it is lagging behind", k)
	}
	return []metadata.Record{voterRecord(learner.NodeID, learner.DirectoryID, false, learner.Endpoints)}, Outcome{}
}

// RemoveVoter takes a node's vote away (API 81). One that lives goes on following the log, as every broker does, and is not promoted again
// without an order. The error is ErrLeads for this node itself.
func (c *Controller) RemoveVoter(ctx context.Context, k VoterKey) (Outcome, error) {
	type reply struct {
		out Outcome
		err error
	}
	got, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, reply) {
		c.because("order", "ordered by an administrator")
		records, out := removeVoter(img, k, c.o.Log.Follows)
		if out.OK() && k.ID == c.o.Me {
			return nil, reply{err: ErrLeads}
		}
		return records, reply{out: out}
	})
	if err == nil {
		err = got.err
	}
	return got.out, err
}

func removeVoter(img *metadata.Image, k VoterKey, f follows) ([]metadata.Record, Outcome) {
	i := slices.IndexFunc(img.Voters(), func(v *metadata.Voter) bool { return keyOf(v) == k && !v.Learner })
	if i < 0 {
		return nil, failure(model.VoterNotFound, "Cannot remove voter %s from the set of voters %s", k, voterSet(img))
	}
	v := img.Voters()[i]
	if out := mayLeave(img, v, f); !out.OK() {
		return nil, out
	}
	if answers, _ := f(v.DirectoryID); !answers {
		return []metadata.Record{&metadata.RemoveVoter{NodeID: int32(v.NodeID), DirectoryID: v.DirectoryID}}, Outcome{}
	}
	rec := voterRecord(v.NodeID, v.DirectoryID, true, v.Endpoints)
	rec.Held = true
	return []metadata.Record{rec}, Outcome{}
}

// mayLeave says what is wrong with the quorum that a voter would leave behind. Kafka takes any voter out, and then nothing can be decided
// any more when too few of the others live, not even to take it back.
func mayLeave(img *metadata.Image, leaver *metadata.Voter, f follows) Outcome {
	var silent []string
	left := 0
	for _, v := range img.Voters() {
		if v.Learner || v == leaver {
			continue
		}
		left++
		if answers, _ := f(v.DirectoryID); !answers {
			silent = append(silent, fmt.Sprint(v.NodeID))
		}
	}
	switch {
	case left == 0:
		return failure(model.VoterNotFound, "Cannot remove voter %s from the set of voters %s: it is the only one", keyOf(leaver), voterSet(img))
	case left-len(silent) <= left/2:
		return failure(model.InvalidRequest, "Without voter %d the metadata quorum would be lost: of the %d that stay, these do not answer: %s. Bring them back or remove "+
			"them first", leaver.NodeID, left, strings.Join(silent, ", "))
	}
	return Outcome{}
}

func voterSet(img *metadata.Image) string {
	var keys []string
	for _, v := range img.Voters() {
		if !v.Learner {
			keys = append(keys, keyOf(v).String())
		}
	}
	return "[" + strings.Join(keys, ", ") + "]"
}

// ReplaceVoter gives the vote of a voter that lost its disk to the node that has come in its place: the same address, another directory. Both
// changes are one entry, so that there are never fewer voters, nor more.
func (c *Controller) ReplaceVoter(ctx context.Context, lost, heir model.UUID) error {
	out, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, Outcome) {
		c.because("replaced", "the voter at its address lost its disk, and came back as this one")
		return replaceVoter(img, lost, heir, c.o.Log.Follows)
	})
	if err == nil && !out.OK() {
		err = out
	}
	return err
}

func replaceVoter(img *metadata.Image, lost, heir model.UUID, f follows) ([]metadata.Record, Outcome) {
	from, to := memberOf(img, lost), memberOf(img, heir)
	if from == nil || to == nil || from.Learner || !to.Learner || to.Held || !SamePlace(from, to) {
		return nil, Outcome{} // news have come in between
	}
	answers, _ := f(lost)
	if _, caught := f(heir); answers || !caught {
		return nil, failure(model.RequestTimedOut, "Node %d cannot take the place of voter %d yet", to.NodeID, from.NodeID)
	}
	return []metadata.Record{
		&metadata.RemoveVoter{NodeID: int32(from.NodeID), DirectoryID: from.DirectoryID},
		voterRecord(to.NodeID, to.DirectoryID, false, to.Endpoints),
	}, Outcome{}
}

func memberOf(img *metadata.Image, directory model.UUID) *metadata.Voter {
	for _, v := range img.Voters() {
		if v.DirectoryID == directory {
			return v
		}
	}
	return nil
}

// SamePlace reports that two members are reached at the same address. Only one process can listen there: if one of them answers, the other
// does not run any more, at least not there.
func SamePlace(a, b *metadata.Voter) bool {
	return len(a.Endpoints) > 0 && slices.Equal(a.Endpoints, b.Endpoints)
}
