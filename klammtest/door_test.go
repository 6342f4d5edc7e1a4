package klammtest_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askAt sends one of each request that the controller decides to one broker.
func askAt(ctx context.Context, at func(string, error), door *kgo.Broker, topic string) {
	create := kmsg.NewCreateTopicsRequest()
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = topic, 2, 3
	create.Topics = append(create.Topics, ct)
	var failed error
	if resp, err := door.Request(ctx, &create); err != nil {
		failed = err
	} else if r := resp.(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 0 || r.TopicID == [16]byte{} {
		failed = fmt.Errorf("%+v", r)
	}
	at("create", failed)

	// What a door was told, it knows.
	meta := kmsg.NewMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = &topic
	meta.Topics = append(meta.Topics, mt)
	resp, err := door.Request(ctx, &meta)
	if err == nil {
		if r := resp.(*kmsg.MetadataResponse); r.Topics[0].ErrorCode != 0 || len(r.Topics[0].Partitions) != 2 || len(r.Brokers) != 3 {
			err = fmt.Errorf("%+v", r)
		}
	}
	at("metadata of a topic it created", err)

	grow := kmsg.NewCreatePartitionsRequest()
	gt := kmsg.NewCreatePartitionsRequestTopic()
	gt.Topic, gt.Count = topic, 4
	grow.Topics = append(grow.Topics, gt)
	if resp, err = door.Request(ctx, &grow); err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode)
	}
	at("grow", err)

	value := "1234"
	alter := kmsg.NewIncrementalAlterConfigsRequest()
	ar := kmsg.NewIncrementalAlterConfigsRequestResource()
	ar.ResourceType, ar.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	ac := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	ac.Name, ac.Value = "retention.ms", &value
	ar.Configs = append(ar.Configs, ac)
	alter.Resources = append(alter.Resources, ar)
	if resp, err = door.Request(ctx, &alter); err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)
	}
	at("alter configuration", err)

	elect := kmsg.NewElectLeadersRequest()
	et := kmsg.NewElectLeadersRequestTopic()
	et.Topic, et.Partitions = topic, []int32{0}
	elect.Topics = append(elect.Topics, et)
	if resp, err = door.Request(ctx, &elect); err == nil {
		if code := resp.(*kmsg.ElectLeadersResponse).Topics[0].Partitions[0].ErrorCode; code != kerr.ElectionNotNeeded.Code {
			err = kerr.ErrorForCode(code)
		}
	}
	at("elect", err)

	quorum := kmsg.NewDescribeQuorumRequest()
	qt := kmsg.NewDescribeQuorumRequestTopic()
	qt.Topic, qt.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
	quorum.Topics = append(quorum.Topics, qt)
	if resp, err = door.Request(ctx, &quorum); err == nil {
		if p := resp.(*kmsg.DescribeQuorumResponse).Topics[0].Partitions[0]; len(p.CurrentVoters) != 3 || p.CurrentVoters[0].LogEndOffset <= 0 {
			err = fmt.Errorf("%+v", p)
		}
	}
	at("describe quorum", err)

	ids := kmsg.NewInitProducerIDRequest()
	if resp, err = door.Request(ctx, &ids); err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.InitProducerIDResponse).ErrorCode)
	}
	at("producer id", err)

	unregister := kmsg.NewUnregisterBrokerRequest()
	unregister.BrokerID = 99
	if resp, err = door.Request(ctx, &unregister); err == nil {
		if code := resp.(*kmsg.UnregisterBrokerResponse).ErrorCode; code != kerr.BrokerIDNotRegistered.Code {
			err = fmt.Errorf("code %d", code)
		}
	}
	at("unregister", err)
}
