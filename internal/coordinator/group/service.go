package group

import (
	"context"
	"io"
	"log/slog"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// Topic is where groups keep their state.
const Topic = "__consumer_offsets"

// Options is what node plugs in.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	// Config is asked at every use, so that dynamic values apply at once.
	Config func() Config
	// Partitions is the number of partitions Topic has; 0 while it does not exist.
	Partitions func() int32
	// Rand is where member ids come from: crypto/rand.Reader, or a seeded source in tests.
	Rand io.Reader
}

// Client is who sends a request.
type Client struct{ ID, Host string }

// Service holds the group shards of this node.
type Service struct{ o Options }

// New makes a service without shards.
func New(o Options) *Service { return &Service{o: o} }

// Elected makes this node the coordinator of a partition of Topic: it loads log and then serves. A smaller epoch than one seen before is
// ignored.
func (s *Service) Elected(partition int32, epoch model.LeaderEpoch, log coordinator.Log) {
	panic("soon")
}

// Resigned ends what Elected began, if epoch is not older.
func (s *Service) Resigned(partition int32, epoch model.LeaderEpoch) { panic("soon") }

// TopicsDeleted removes the offsets that groups committed for topics that are gone.
func (s *Service) TopicsDeleted(names []string) { panic("soon") }

// Close resigns from all partitions.
func (s *Service) Close() { panic("soon") }

// Ready waits until the shard of a group serves, and reports whether it does.
func (s *Service) Ready(ctx context.Context, group string) model.ErrorCode { panic("soon") }

// Join answers JoinGroup; it waits for the rebalance.
func (s *Service) Join(ctx context.Context, c Client, version int16, q *wire.JoinGroupRequest) *wire.JoinGroupResponse {
	panic("soon")
}

// Sync answers SyncGroup; it waits for the leader's assignment.
func (s *Service) Sync(ctx context.Context, q *wire.SyncGroupRequest) *wire.SyncGroupResponse {
	panic("soon")
}

// Heartbeat answers Heartbeat.
func (s *Service) Heartbeat(ctx context.Context, q *wire.HeartbeatRequest) model.ErrorCode {
	panic("soon")
}

// Leave answers LeaveGroup.
func (s *Service) Leave(ctx context.Context, q *wire.LeaveGroupRequest) *wire.LeaveGroupResponse {
	panic("soon")
}

// CommitOffsets answers OffsetCommit.
func (s *Service) CommitOffsets(ctx context.Context, q *wire.OffsetCommitRequest) *wire.OffsetCommitResponse {
	panic("soon")
}

// FetchOffsets answers one group of OffsetFetch.
func (s *Service) FetchOffsets(ctx context.Context, q *wire.OffsetFetchRequestGroup) wire.OffsetFetchResponseGroup {
	panic("soon")
}

// Describe answers one group of DescribeGroups.
func (s *Service) Describe(ctx context.Context, group string) wire.DescribeGroupsResponseGroup {
	panic("soon")
}

// List answers ListGroups.
func (s *Service) List(ctx context.Context, q *wire.ListGroupsRequest) *wire.ListGroupsResponse {
	panic("soon")
}

// Delete answers DeleteGroups.
func (s *Service) Delete(ctx context.Context, groups []string) []wire.DeleteGroupsResponseResult {
	panic("soon")
}

// DeleteOffsets answers OffsetDelete.
func (s *Service) DeleteOffsets(ctx context.Context, q *wire.OffsetDeleteRequest) *wire.OffsetDeleteResponse {
	panic("soon")
}

// PartitionFor is the partition of Topic that holds a group, as Kafka computes it: Java's String.hashCode of the id.
func PartitionFor(group string, partitions int32) int32 { panic("soon") }
