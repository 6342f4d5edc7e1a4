package group

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// Join answers JoinGroup; it waits for the rebalance.
func (s *Service) Join(ctx context.Context, c Client, version int16, q *wire.JoinGroupRequest) *wire.JoinGroupResponse {
	if q.GroupID == "" {
		return joinError(model.InvalidGroupID, q.MemberID)
	}
	// The request lives as long as this call does, which may end before the step when the node stops.
	own := *q
	own.Protocols = slices.Clone(q.Protocols)
	for i := range own.Protocols {
		own.Protocols[i].Metadata = bytes.Clone(own.Protocols[i].Metadata)
	}
	body, err := s.ask(ctx, q.GroupID, &joinRequest{call: newCall(), client: c, version: version, q: &own})
	if err != nil {
		return joinError(metadataError(err), q.MemberID)
	}
	return body.(*wire.JoinGroupResponse)
}

// Sync answers SyncGroup; it waits for the leader's assignment.
func (s *Service) Sync(ctx context.Context, q *wire.SyncGroupRequest) *wire.SyncGroupResponse {
	if q.GroupID == "" {
		return &wire.SyncGroupResponse{ErrorCode: model.InvalidGroupID}
	}
	own := *q
	own.Assignments = slices.Clone(q.Assignments)
	for i := range own.Assignments {
		own.Assignments[i].Assignment = bytes.Clone(own.Assignments[i].Assignment)
	}
	body, err := s.ask(ctx, q.GroupID, &syncRequest{call: newCall(), q: &own})
	if err != nil {
		return &wire.SyncGroupResponse{ErrorCode: metadataError(err)}
	}
	return body.(*wire.SyncGroupResponse)
}

// Heartbeat answers Heartbeat.
func (s *Service) Heartbeat(ctx context.Context, q *wire.HeartbeatRequest) model.ErrorCode {
	if q.GroupID == "" {
		return model.InvalidGroupID
	}
	body, err := s.ask(ctx, q.GroupID, &heartbeatRequest{call: newCall(), q: q})
	switch {
	case codeOf(err) == model.CoordinatorLoadInProgress:
		// The member is most likely in the group that is being loaded. It must not stop for that.
		return model.None
	case err != nil:
		return metadataError(err)
	}
	return body.(model.ErrorCode)
}

// Leave answers LeaveGroup.
func (s *Service) Leave(ctx context.Context, version int16, q *wire.LeaveGroupRequest) *wire.LeaveGroupResponse {
	if q.GroupID == "" {
		return &wire.LeaveGroupResponse{ErrorCode: model.InvalidGroupID}
	}
	members := q.Members
	if version < 3 {
		members = []wire.LeaveGroupRequestMember{{MemberID: q.MemberID}}
	}
	body, err := s.ask(ctx, q.GroupID, &leaveRequest{call: newCall(), group: q.GroupID, members: members})
	if err != nil {
		return &wire.LeaveGroupResponse{ErrorCode: metadataError(err)}
	}
	resp := body.(*wire.LeaveGroupResponse)
	if version < 3 {
		return &wire.LeaveGroupResponse{ErrorCode: resp.Members[0].ErrorCode}
	}
	return resp
}

// CommitOffsets answers OffsetCommit. Topics must have names; their ids say which life of a topic is meant, if known.
func (s *Service) CommitOffsets(ctx context.Context, version int16, q *wire.OffsetCommitRequest) *wire.OffsetCommitResponse {
	body, err := s.askInTime(ctx, q.GroupID, &commitRequest{call: newCall(), version: version, q: q})
	if err != nil {
		return commitResponse(q, offsetError(err))
	}
	return body.(*wire.OffsetCommitResponse)
}

// FetchOffsets answers one group of OffsetFetch. Topics must have names; with an id, only offsets of that life of the topic are found.
func (s *Service) FetchOffsets(ctx context.Context, q *wire.OffsetFetchRequestGroup) *wire.OffsetFetchResponseGroup {
	body, err := s.ask(ctx, q.GroupID, &fetchRequest{call: newCall(), q: q})
	if err != nil {
		return &wire.OffsetFetchResponseGroup{GroupID: q.GroupID, ErrorCode: offsetError(err)}
	}
	return body.(*wire.OffsetFetchResponseGroup)
}

// Describe answers one group of DescribeGroups. A group that does not exist has GROUP_ID_NOT_FOUND and the state Dead.
func (s *Service) Describe(ctx context.Context, group string) *wire.DescribeGroupsResponseGroup {
	body, err := s.ask(ctx, group, &describeRequest{newCall(), group})
	if err != nil {
		resp := wire.NewDescribeGroupsResponseGroup()
		resp.GroupID, resp.ErrorCode = group, metadataError(err)
		return &resp
	}
	return body.(*wire.DescribeGroupsResponseGroup)
}

// List answers ListGroups: the groups of all shards of this node, by name.
func (s *Service) List(ctx context.Context, q *wire.ListGroupsRequest) *wire.ListGroupsResponse {
	resp := &wire.ListGroupsResponse{Groups: []wire.ListGroupsResponseGroup{}}
	for _, sh := range s.all() {
		code := s.await(ctx, sh)
		var body any
		if code == model.None {
			var err error
			body, err = s.askShard(ctx, sh, &listRequest{newCall(), q})
			code = codeOf(err)
		}
		switch {
		case code == model.NotCoordinator: // it went to another node, which lists it
		case code != model.None:
			return &wire.ListGroupsResponse{ErrorCode: code}
		default:
			resp.Groups = append(resp.Groups, body.([]wire.ListGroupsResponseGroup)...)
		}
	}
	slices.SortFunc(resp.Groups, func(a, b wire.ListGroupsResponseGroup) int { return strings.Compare(a.GroupID, b.GroupID) })
	return resp
}

// Delete answers DeleteGroups, with one result for each group in order of its first mention.
func (s *Service) Delete(ctx context.Context, groups []string) []wire.DeleteGroupsResponseResult {
	out := make([]wire.DeleteGroupsResponseResult, 0, len(groups))
	seen := make(map[string]bool, len(groups))
	for _, id := range groups {
		if seen[id] {
			continue
		}
		seen[id] = true
		res := wire.DeleteGroupsResponseResult{GroupID: id}
		if body, err := s.askInTime(ctx, id, &deleteRequest{newCall(), id}); err != nil {
			res.ErrorCode = offsetError(err)
		} else {
			res.ErrorCode = body.(model.ErrorCode)
		}
		out = append(out, res)
	}
	return out
}

// DeleteOffsets answers OffsetDelete.
func (s *Service) DeleteOffsets(ctx context.Context, q *wire.OffsetDeleteRequest) *wire.OffsetDeleteResponse {
	body, err := s.askInTime(ctx, q.GroupID, &deleteOffsetsRequest{newCall(), q})
	if err != nil {
		return &wire.OffsetDeleteResponse{ErrorCode: offsetError(err)}
	}
	return body.(*wire.OffsetDeleteResponse)
}
