package api

import (
	"fmt"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// describeGroups answers key 15. A group that does not exist is an error from version 6 on (KIP-1043) and a dead group before.
func describeGroups(a *API, r *Request, q *wire.DescribeGroupsRequest) (*wire.DescribeGroupsResponse, error) {
	var resp wire.DescribeGroupsResponse
	for _, id := range q.Groups {
		g := a.Groups.Describe(r.Context(), id)
		if g.ErrorCode == model.GroupIDNotFound {
			if r.Version < 6 {
				g.ErrorCode = model.None
			} else {
				text := fmt.Sprintf("Group %s not found.", id)
				g.ErrorMessage = &text
			}
		}
		if q.IncludeAuthorizedOperations && g.ErrorCode == model.None {
			g.AuthorizedOperations = groupOperations
		}
		resp.Groups = append(resp.Groups, *g)
	}
	return &resp, nil
}
