package api

import (
	"context"

	"github.com/klamm/klamm/internal/wire"
)

// NewNodePort builds the handler of the client protocol's part that other nodes ask for: fetches of followers. It has fetch sessions of its
// own, so that clients cannot take those away.
//
// A fetch in the name of a replica is refused on every other port, with CLUSTER_AUTHORIZATION_FAILED as for any client that may not act for
// the cluster. Kafka without an authorizer believes it: whoever reaches the port can read what is not committed, and have the leader
// acknowledge what no follower has.
func NewNodePort(ctx context.Context, o Options) *API {
	o.NodePort = true
	a := New(ctx, o)
	a.entries = []entry{{Key: wire.KeyFetch, Min: 17, Max: 17, Piped: fetch}}
	a.byKey = [maxKey]*entry{}
	a.byKey[wire.KeyFetch] = &a.entries[0]
	return a
}
