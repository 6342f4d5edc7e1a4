package api

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/clock"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/server"
)

// rigLog is a metadata log of one that commits at once into the rig's image.
type rigLog struct {
	r  *rig
	mu sync.Mutex
}

func (l *rigLog) Append(records []metadata.Record, done func(model.Offset, error)) {
	l.mu.Lock()
	img := l.Image()
	next, _, err := img.Apply(img.Offset+1, records)
	if err == nil {
		l.r.image.Store(next)
	}
	l.mu.Unlock()
	if err != nil {
		done(model.NoOffset, err)
		return
	}
	done(next.Offset, nil)
}

func (l *rigLog) Image() *metadata.Image { return l.r.image.Load() }

func (l *rigLog) Watch(lead func(int32), _ func()) { lead(1) }

func (l *rigLog) Follows(model.UUID) (answers, caught bool) { return true, true }

// adminRig is a rig with a controller, behind a server of its own: options must not change once requests may come.
func adminRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	return adminRigOn(t, nil, change...)
}

// adminRigOn has records in its metadata that its controller finds there: what is added later, the controller does not decide on.
func adminRigOn(t *testing.T, records []metadata.Record, change ...func(*Options)) *rig {
	t.Helper()
	r := newRig(t)
	r.apply(records...)
	for _, f := range metadata.SupportedFeatures() {
		r.apply(&metadata.FeatureLevel{Name: f.Name, Level: f.Max})
	}
	o := r.api.Options
	o.LogLevel = &slog.LevelVar{}
	o.Controller = controller.New(controller.Options{
		Me: me, Log: &rigLog{r: r}, Clock: clock.Real(), Logger: o.Logger, Random: rand.Reader, Resolver: o.Resolver,
	})
	for _, f := range change {
		f(&o)
	}
	r.api = New(t.Context(), o)
	s := server.New(server.Options{Handler: r.api, Clock: clock.Real(), Logger: o.Logger})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(ln, server.Listener{Name: "PLAINTEXT"}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
		o.Controller.Close()
	})
	return r
}

func at[Q kmsg.Request](q Q, version int16) Q {
	q.SetVersion(version)
	return q
}

func createRequest(version int16, names ...string) *kmsg.CreateTopicsRequest {
	q := at(kmsg.NewPtrCreateTopicsRequest(), version)
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, 2, 1
		q.Topics = append(q.Topics, t)
	}
	return q
}

func TestTopicsLiveAndDieInEveryVersion(t *testing.T) {
	r := adminRig(t)
	c := r.dial()
	for version := int16(0); version <= 7; version++ {
		name := fmt.Sprintf("t%d", version)
		got := ask[*kmsg.CreateTopicsResponse](c, createRequest(version, name))
		topic := r.image.Load().Topic(name)
		if len(got.Topics) != 1 || got.Topics[0].ErrorCode != 0 || topic == nil || len(topic.Partitions) != 2 {
			t.Fatalf("v%d: %+v", version, got)
		}
		if version >= 5 && (got.Topics[0].NumPartitions != 2 || len(got.Topics[0].Configs) < 30) {
			t.Errorf("v%d: no configuration: %+v", version, got.Topics[0])
		}
		if version >= 7 && got.Topics[0].TopicID != topic.ID {
			t.Errorf("v%d: another id", version)
		}
		grow := at(kmsg.NewPtrCreatePartitionsRequest(), min(version, 3))
		grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 3}}
		if got := ask[*kmsg.CreatePartitionsResponse](c, grow); got.Topics[0].ErrorCode != 0 || len(r.image.Load().Topic(name).Partitions) != 3 {
			t.Fatalf("v%d: %+v", version, got)
		}
		del := at(kmsg.NewPtrDeleteTopicsRequest(), min(version, 6))
		del.TopicNames = []string{name}
		if version >= 6 {
			del.TopicNames, del.Topics = nil, []kmsg.DeleteTopicsRequestTopic{{TopicID: topic.ID}}
		}
		if got := ask[*kmsg.DeleteTopicsResponse](c, del); got.Topics[0].ErrorCode != 0 || *got.Topics[0].Topic != name || r.image.Load().Topic(name) != nil {
			t.Fatalf("v%d: %+v", version, got)
		}
	}
}

func TestCreateTopicsSaysWhatIsWrongWithEach(t *testing.T) {
	r := adminRig(t)
	c := r.dial()
	q := createRequest(7, "good", "bad name", "twice", "twice")
	q.Topics[0].Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: kmsg.StringPtr("1000")}}
	got := ask[*kmsg.CreateTopicsResponse](c, q)
	var codes []model.ErrorCode
	for _, x := range got.Topics {
		codes = append(codes, model.ErrorCode(x.ErrorCode))
	}
	if !slices.Equal(codes, []model.ErrorCode{model.None, model.InvalidTopicException, model.InvalidRequest}) {
		t.Fatalf("codes %v", codes)
	}
	for _, cfg := range got.Topics[0].Configs {
		if cfg.Name == "retention.ms" && (*cfg.Value != "1000" || cfg.Source != int8(kmsg.ConfigSourceDynamicTopicConfig)) {
			t.Errorf("retention %+v", cfg)
		}
	}
	check := createRequest(7, "only.checked")
	check.ValidateOnly = true
	if got := ask[*kmsg.CreateTopicsResponse](c, check); got.Topics[0].ErrorCode != 0 || r.image.Load().Topic("only.checked") != nil {
		t.Errorf("validate only: %+v", got)
	}
}

func describeConfigsRequest(version int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	q := at(kmsg.NewPtrDescribeConfigsRequest(), version)
	q.IncludeSynonyms, q.IncludeDocumentation = true, true
	q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	return q
}

func TestConfigsAreSetAndShown(t *testing.T) {
	r := adminRig(t)
	c := r.dial()
	ask[*kmsg.CreateTopicsResponse](c, createRequest(7, "t"))
	set := at(kmsg.NewPtrIncrementalAlterConfigsRequest(), 1)
	add := func(kind kmsg.ConfigResourceType, name, key, value string) {
		set.Resources = append(set.Resources, kmsg.IncrementalAlterConfigsRequestResource{
			ResourceType: kind, ResourceName: name, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}},
		})
	}
	add(kmsg.ConfigResourceTypeTopic, "t", "max.message.bytes", "100")
	add(kmsg.ConfigResourceTypeBroker, "1", "message.max.bytes", "200")
	add(kmsg.ConfigResourceTypeBroker, "", "message.max.bytes", "300")
	add(kmsg.ConfigResourceTypeBrokerLogger, "1", "root", "DEBUG")
	add(kmsg.ConfigResourceTypeGroupConfig, "g", "consumer.session.timeout.ms", "50000")
	add(kmsg.ConfigResourceTypeClientMetrics, "m", "interval.ms", "1000")
	add(kmsg.ConfigResourceTypeBroker, "7", "message.max.bytes", "1")
	add(kmsg.ConfigResourceTypeTopic, "nowhere", "max.message.bytes", "1")
	got := ask[*kmsg.IncrementalAlterConfigsResponse](c, set)
	want := []model.ErrorCode{0, 0, 0, 0, 0, 0, model.InvalidRequest, model.UnknownTopicOrPartition}
	for i, res := range got.Resources {
		if model.ErrorCode(res.ErrorCode) != want[i] || res.ResourceName != set.Resources[i].ResourceName {
			t.Fatalf("resource %d: %+v", i, res)
		}
	}
	if r.api.LogLevel.Level() != slog.LevelDebug {
		t.Error("log level is not set")
	}
	for version := int16(0); version <= 4; version++ {
		got := ask[*kmsg.DescribeConfigsResponse](c, describeConfigsRequest(version, kmsg.ConfigResourceTypeTopic, "t", "max.message.bytes"))
		cfg := got.Resources[0].Configs[0]
		if *cfg.Value != "100" || version >= 1 && (cfg.Source != kmsg.ConfigSourceDynamicTopicConfig || len(cfg.ConfigSynonyms) != 4) ||
			version >= 3 && (cfg.ConfigType != kmsg.ConfigTypeInt || *cfg.Documentation == "") {
			t.Errorf("v%d: %+v", version, cfg)
		}
	}
	for _, tc := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code model.ErrorCode
		min  int
	}{
		{kmsg.ConfigResourceTypeTopic, "t", 0, 30},
		{kmsg.ConfigResourceTypeTopic, "nowhere", model.UnknownTopicOrPartition, 0},
		{kmsg.ConfigResourceTypeTopic, "", model.InvalidTopicException, 0},
		{kmsg.ConfigResourceTypeBroker, "1", 0, 150},
		{kmsg.ConfigResourceTypeBroker, "", 0, 1},
		{kmsg.ConfigResourceTypeBroker, "2", model.InvalidRequest, 0},
		{kmsg.ConfigResourceTypeBroker, "x", model.InvalidRequest, 0},
		{kmsg.ConfigResourceTypeBrokerLogger, "1", 0, 1},
		{kmsg.ConfigResourceTypeBrokerLogger, "", model.InvalidRequest, 0},
		{kmsg.ConfigResourceTypeGroupConfig, "g", 0, 5},
		{kmsg.ConfigResourceTypeGroupConfig, "", model.InvalidRequest, 0},
		{kmsg.ConfigResourceTypeClientMetrics, "m", 0, 3},
		{kmsg.ConfigResourceTypeClientMetrics, "", model.InvalidRequest, 0},
		{99, "m", model.InvalidRequest, 0},
	} {
		got := ask[*kmsg.DescribeConfigsResponse](c, describeConfigsRequest(4, tc.kind, tc.name)).Resources[0]
		if model.ErrorCode(got.ErrorCode) != tc.code || len(got.Configs) < tc.min {
			t.Errorf("%v %q: %v with %d entries", tc.kind, tc.name, model.ErrorCode(got.ErrorCode), len(got.Configs))
		}
	}
	list := at(kmsg.NewPtrListConfigResourcesRequest(), 1)
	if got := ask[*kmsg.ListConfigResourcesResponse](c, list); len(got.ConfigResources) != 5 {
		t.Errorf("resources %+v", got.ConfigResources)
	}
	if got := ask[*kmsg.ListConfigResourcesResponse](c, at(list, 0)); len(got.ConfigResources) != 1 || got.ConfigResources[0].Name != "m" {
		t.Errorf("v0: resources %+v", got.ConfigResources)
	}
}

func TestAlterConfigsReplaces(t *testing.T) {
	r := adminRig(t)
	c := r.dial()
	ask[*kmsg.CreateTopicsResponse](c, createRequest(7, "t"))
	for version := int16(0); version <= 2; version++ {
		q := at(kmsg.NewPtrAlterConfigsRequest(), version)
		key := []string{"retention.ms", "max.message.bytes", "segment.ms"}[version]
		q.Resources = []kmsg.AlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: key, Value: kmsg.StringPtr("1000")}},
		}}
		if got := ask[*kmsg.AlterConfigsResponse](c, q); got.Resources[0].ErrorCode != 0 {
			t.Fatalf("v%d: %+v", version, got)
		}
		if m := r.image.Load().Overrides(model.ResourceTopic, "t"); len(m) != 1 || m[key] != "1000" {
			t.Fatalf("v%d: %v", version, m)
		}
	}
	twice := at(kmsg.NewPtrAlterConfigsRequest(), 2)
	twice.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}, {ResourceType: 2, ResourceName: "t"}}
	for _, res := range ask[*kmsg.AlterConfigsResponse](c, twice).Resources {
		if model.ErrorCode(res.ErrorCode) != model.InvalidRequest {
			t.Errorf("named twice: %+v", res)
		}
	}
}

func TestElectionsAndReassignmentsOnOneNode(t *testing.T) {
	r := adminRig(t)
	c := r.dial()
	ask[*kmsg.CreateTopicsResponse](c, createRequest(7, "t"))
	for version := int16(0); version <= 2; version++ {
		q := at(kmsg.NewPtrElectLeadersRequest(), version)
		q.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{1, 0, 9}}, {Topic: "nowhere", Partitions: []int32{0}}}
		got := ask[*kmsg.ElectLeadersResponse](c, q)
		p := got.Topics[0].Partitions
		if len(p) != 3 || model.ErrorCode(p[0].ErrorCode) != model.ElectionNotNeeded || model.ErrorCode(p[2].ErrorCode) != model.UnknownTopicOrPartition ||
			model.ErrorCode(got.Topics[1].Partitions[0].ErrorCode) != model.UnknownTopicOrPartition {
			t.Errorf("v%d: %+v", version, got)
		}
		q.Topics = nil
		if got := ask[*kmsg.ElectLeadersResponse](c, q); got.ErrorCode != 0 || len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 0 {
			t.Errorf("v%d: everywhere: %+v", version, got)
		}
	}
	bad := at(kmsg.NewPtrElectLeadersRequest(), 2)
	bad.ElectionType = 5
	if got := ask[*kmsg.ElectLeadersResponse](c, bad); model.ErrorCode(got.ErrorCode) != model.InvalidRequest {
		t.Errorf("unknown election: %+v", got)
	}
	move := at(kmsg.NewPtrAlterPartitionAssignmentsRequest(), 1)
	move.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{
		{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 0, Replicas: []int32{1}}, {Partition: 1}, {Partition: 0, Replicas: []int32{2}}}},
		{Topic: "nowhere", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 0, Replicas: []int32{1}}}},
	}
	got := ask[*kmsg.AlterPartitionAssignmentsResponse](c, move)
	var codes []model.ErrorCode
	for _, topic := range got.Topics {
		for _, p := range topic.Partitions {
			codes = append(codes, model.ErrorCode(p.ErrorCode))
		}
	}
	if !slices.Equal(codes, []model.ErrorCode{0, model.NoReassignmentInProgress, model.InvalidReplicaAssignment, model.UnknownTopicOrPartition}) {
		t.Errorf("reassignment: %v", codes)
	}
	if got := ask[*kmsg.ListPartitionReassignmentsResponse](c, kmsg.NewPtrListPartitionReassignmentsRequest()); got.ErrorCode != 0 || len(got.Topics) != 0 {
		t.Errorf("list: %+v", got)
	}
	id := r.image.Load().Topic("t").ID
	moving := metadata.NewPartitionChange()
	moving.TopicID, moving.Replicas, moving.Adding = id, []int32{1, 2}, []int32{2}
	moving.Dirs = make([]model.UUID, 2)
	r.apply(&moving)
	if got := ask[*kmsg.ListPartitionReassignmentsResponse](c, kmsg.NewPtrListPartitionReassignmentsRequest()); len(got.Topics) != 1 || !slices.Equal(got.Topics[0].Partitions[0].AddingReplicas, []int32{2}) {
		t.Errorf("list: %+v", got)
	}
}

func TestClusterIsDescribed(t *testing.T) {
	r := adminRigOn(t, []metadata.Record{&metadata.RegisterBroker{BrokerID: 2, BrokerEpoch: 2, Fenced: true}})
	c := r.dial()
	for version := int16(0); version <= 2; version++ {
		got := ask[*kmsg.DescribeClusterResponse](c, at(kmsg.NewPtrDescribeClusterRequest(), version))
		if got.ErrorCode != 0 || got.ClusterID != "rig" || got.ControllerID != 1 || len(got.Brokers) != 1 || got.Brokers[0].Port != 9001 {
			t.Errorf("v%d: %+v", version, got)
		}
	}
	q := at(kmsg.NewPtrDescribeClusterRequest(), 2)
	q.IncludeFencedBrokers = true
	if got := ask[*kmsg.DescribeClusterResponse](c, q); len(got.Brokers) != 2 || !got.Brokers[1].IsFenced {
		t.Errorf("fenced: %+v", got)
	}
	for kind, code := range map[int8]model.ErrorCode{2: model.MismatchedEndpointType, 9: model.UnsupportedEndpointType} {
		q.EndpointType = kind
		if got := ask[*kmsg.DescribeClusterResponse](c, q); model.ErrorCode(got.ErrorCode) != code {
			t.Errorf("endpoint type %d: %+v", kind, got)
		}
	}
	features := at(kmsg.NewPtrUpdateFeaturesRequest(), 2)
	features.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: metadata.MetadataVersion, MaxVersionLevel: 31, UpgradeType: 1}}
	if got := ask[*kmsg.UpdateFeaturesResponse](c, features); model.ErrorCode(got.ErrorCode) != model.InvalidUpdateVersion {
		t.Errorf("features: %+v", got)
	}
	gone := kmsg.NewPtrUnregisterBrokerRequest()
	gone.BrokerID = 2
	if got := ask[*kmsg.UnregisterBrokerResponse](c, gone); got.ErrorCode != 0 || r.image.Load().Broker(2) != nil {
		t.Errorf("unregister: %+v", got)
	}
	if got := ask[*kmsg.UnregisterBrokerResponse](c, gone); model.ErrorCode(got.ErrorCode) != model.BrokerIDNotRegistered {
		t.Errorf("unregister again: %+v", got)
	}
}

func TestTopicPartitionsComeInPages(t *testing.T) {
	r := adminRig(t)
	c := r.dial()
	ask[*kmsg.CreateTopicsResponse](c, createRequest(7, "a", "b", "c"))
	for _, asked := range [][]string{nil, {"c", "a", "b"}} {
		for limit := int32(1); limit <= 7; limit++ {
			var seen []string
			var cursor *kmsg.DescribeTopicPartitionsRequestCursor
			for pages := 0; pages < 10; pages++ {
				q := kmsg.NewPtrDescribeTopicPartitionsRequest()
				q.ResponsePartitionLimit, q.Cursor = limit, cursor
				for _, name := range asked {
					q.Topics = append(q.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
				}
				got := ask[*kmsg.DescribeTopicPartitionsResponse](c, q)
				n := 0
				for _, topic := range got.Topics {
					for _, p := range topic.Partitions {
						seen = append(seen, fmt.Sprintf("%s-%d", *topic.Topic, p.Partition))
						n++
					}
				}
				if n > int(limit) {
					t.Fatalf("%d partitions on a page of %d", n, limit)
				}
				if got.NextCursor == nil {
					break
				}
				cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: got.NextCursor.Topic, Partition: got.NextCursor.Partition}
			}
			if !slices.Equal(seen, []string{"a-0", "a-1", "b-0", "b-1", "c-0", "c-1"}) {
				t.Errorf("pages of %d gave %v", limit, seen)
			}
		}
	}
	q := kmsg.NewPtrDescribeTopicPartitionsRequest()
	q.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "nowhere"}, {Topic: "bad name"}}
	got := ask[*kmsg.DescribeTopicPartitionsResponse](c, q)
	if model.ErrorCode(got.Topics[0].ErrorCode) != model.InvalidTopicException || model.ErrorCode(got.Topics[1].ErrorCode) != model.UnknownTopicOrPartition {
		t.Errorf("%+v", got)
	}
	q.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "elsewhere"}
	if got := ask[*kmsg.DescribeTopicPartitionsResponse](c, q); model.ErrorCode(got.Topics[0].ErrorCode) != model.InvalidRequest {
		t.Errorf("cursor outside: %+v", got)
	}
}

func TestAutoCreateGivesInternalTopicsTheirOwnShape(t *testing.T) {
	r := adminRig(t)
	failed := r.api.autoCreate(t.Context(), []string{"plain", "__consumer_offsets", "bad name"})
	if len(failed) != 1 || failed["bad name"] != model.InvalidTopicException {
		t.Fatalf("failed: %v", failed)
	}
	img := r.image.Load()
	if p := img.Topic("plain"); p == nil || len(p.Partitions) != 1 {
		t.Errorf("plain: %+v", p)
	}
	if p := img.Topic("__consumer_offsets"); p == nil || len(p.Partitions) != 50 || img.Overrides(model.ResourceTopic, p.Name)["cleanup.policy"] != "compact" {
		t.Errorf("offsets: %+v", p)
	}
	if failed := r.api.autoCreate(t.Context(), []string{"plain"}); len(failed) != 0 {
		t.Errorf("again: %v", failed)
	}
}

func TestLogDirsAreDescribed(t *testing.T) {
	dirs := []LogDir{
		{Path: "/good", Total: 100, Free: 40, Logs: []LogSize{{TP: model.TopicPartition{Topic: "b", Partition: 1}, Size: 7}, {TP: model.TopicPartition{Topic: "a"}, Size: 3}, {TP: model.TopicPartition{Topic: "b"}, Size: 5}}},
		{Path: "/bad", Offline: true},
	}
	r := adminRig(t, func(o *Options) { o.Partitions = dirsOnly{o.Partitions, dirs} })
	c := r.dial()
	for version := int16(0); version <= 4; version++ {
		got := ask[*kmsg.DescribeLogDirsResponse](c, at(kmsg.NewPtrDescribeLogDirsRequest(), version))
		good, bad := got.Dirs[0], got.Dirs[1]
		if len(good.Topics) != 2 || good.Topics[1].Topic != "b" || good.Topics[1].Partitions[1].Size != 7 || version >= 4 && (good.TotalBytes != 100 || good.UsableBytes != 40) {
			t.Errorf("v%d: %+v", version, good)
		}
		if model.ErrorCode(bad.ErrorCode) != model.KafkaStorageError {
			t.Errorf("v%d: %+v", version, bad)
		}
	}
	some := at(kmsg.NewPtrDescribeLogDirsRequest(), 4)
	some.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "b", Partitions: []int32{0, 9}}}
	if got := ask[*kmsg.DescribeLogDirsResponse](c, some); len(got.Dirs[0].Topics) != 1 || len(got.Dirs[0].Topics[0].Partitions) != 1 {
		t.Errorf("some: %+v", got)
	}
}

// dirsOnly makes the directories up.
type dirsOnly struct {
	Partitions
	dirs []LogDir
}

func (d dirsOnly) Dirs() []LogDir { return d.dirs }
