package node_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/klammtest"
)

// What producers may send changes with the topic's configuration, and with the broker's for topics without their own.
func TestMessageSizeChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("own")
	r.create("inherits")
	big := strings.Repeat("x", 5000)
	for _, topic := range []string{"own", "inherits"} {
		r.ok(r.trySend(record(topic, "k", big)))
	}
	r.alter("own", "max.message.bytes", "1000")
	r.wantCode(r.trySend(record("own", "k", big)), kerr.MessageTooLarge)
	r.alterBroker("message.max.bytes", "2000")
	r.wantCode(r.trySend(record("inherits", "k", big)), kerr.MessageTooLarge)
	r.alter("inherits", "max.message.bytes", "10000")
	r.ok(r.trySend(record("inherits", "k", big)))
}

// With LogAppendTime every record carries the broker's clock, and is found by it.
func TestTimestampTypeChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("times")
	long := time.UnixMilli(1_000_000)
	sendOld := func() {
		t.Helper()
		rec := record("times", "k", "v")
		rec.Timestamp = long
		r.ok(r.trySend(rec))
	}
	sendOld()
	r.alter("times", "message.timestamp.type", "LogAppendTime")
	before := time.Now().Add(-time.Second)
	sendOld()
	got := r.read("times")
	if !got[0].Timestamp.Equal(long) || got[0].Attrs.TimestampType() != 0 {
		t.Errorf("the first record has time %v, type %d", got[0].Timestamp, got[0].Attrs.TimestampType())
	}
	if got[1].Timestamp.Before(before) || got[1].Attrs.TimestampType() != 1 {
		t.Errorf("the second record has time %v, type %d, want the broker's", got[1].Timestamp, got[1].Attrs.TimestampType())
	}
	rs, err := r.adm.ListOffsetsAfterMilli(r.ctx, before.UnixMilli(), "times")
	r.ok(err)
	if o, _ := rs.Lookup("times", 0); o.Offset != 1 {
		t.Errorf("offset by time is %d, want 1", o.Offset)
	}
	r.alter("times", "message.timestamp.type", "CreateTime", "message.timestamp.before.max.ms", "1000")
	rec := record("times", "k", "v")
	rec.Timestamp = long
	r.wantCode(r.trySend(rec), kerr.InvalidTimestamp)
}

// compression.type decides how batches lie on disk, whatever producers sent.
func TestCompressionChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("packed")
	for i, codec := range []struct {
		name string
		want uint8
	}{{"producer", 0}, {"gzip", 1}, {"snappy", 2}, {"lz4", 3}, {"zstd", 4}, {"uncompressed", 0}} {
		r.alter("packed", "compression.type", codec.name)
		r.send("packed", "k", strings.Repeat("text ", 100))
		if got := r.read("packed")[i].Attrs.CompressionType(); got != codec.want {
			t.Errorf("%s: codec %d, want %d", codec.name, got, codec.want)
		}
	}
}

// What a topic promises is in its description: log.durability, with its source.
func TestDurabilityIsDescribed(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.create("durable")
	r.create("fast", "log.durability", "page-cache")
	r.wantConfig("durable", "log.durability", "fsync", kmsg.ConfigSourceDefaultConfig)
	r.wantConfig("fast", "log.durability", "page-cache", kmsg.ConfigSourceDynamicTopicConfig)
	r.alter("durable", "log.durability", "page-cache")
	r.wantConfig("durable", "log.durability", "page-cache", kmsg.ConfigSourceDynamicTopicConfig)
	r.send("durable", "k", "v")
	r.alter("fast", "log.durability", "fsync")
	r.send("fast", "k", "v")
}

func (r *rig) wantConfig(topic, key, value string, source kmsg.ConfigSource) {
	r.Helper()
	rs, err := r.adm.DescribeTopicConfigs(r.ctx, topic)
	r.ok(err)
	rc, err := rs.On(topic, nil)
	r.ok(err)
	for _, c := range rc.Configs {
		if c.Key == key {
			if c.MaybeValue() != value || c.Source != source {
				r.Errorf("%s of %s is %s from %v, want %s from %v", key, topic, c.MaybeValue(), c.Source, value, source)
			}
			return
		}
	}
	r.Errorf("%s is not described", key)
}

// The log level changes by its key and by the broker's logger (KIP-412). A change of another key must not put back what the logger was set to.
func TestLogLevelChangesLive(t *testing.T) {
	t.Parallel()
	r := start(t)
	level := func() string {
		t.Helper()
		req := kmsg.NewDescribeConfigsRequest()
		res := kmsg.NewDescribeConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "1"
		req.Resources = append(req.Resources, res)
		m, err := r.cl.Broker(1).RetriableRequest(r.ctx, &req)
		r.ok(err)
		resp := m.(*kmsg.DescribeConfigsResponse)
		for _, c := range resp.Resources[0].Configs {
			if c.Name == "root" {
				return *c.Value
			}
		}
		t.Fatalf("no root logger in %v", resp.Resources)
		return ""
	}
	want := func(w string) {
		t.Helper()
		if got := level(); got != w {
			t.Errorf("level is %s, want %s", got, w)
		}
	}
	want("INFO")
	r.alterBroker("klamm.log.level", "error")
	want("ERROR")
	req := kmsg.NewIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "1"
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "root", kmsg.StringPtr("DEBUG")
	res.Configs = append(res.Configs, c)
	req.Resources = append(req.Resources, res)
	resp, err := req.RequestWith(r.ctx, r.cl.Broker(1))
	r.ok(err)
	r.ok(kerr.ErrorForCode(resp.Resources[0].ErrorCode))
	want("DEBUG")
	r.alterBroker("log.retention.ms", "1000000")
	want("DEBUG")
	r.alterBroker("klamm.log.level", "warn")
	want("WARN")
	r.broker.Restart()
	want("WARN")
}

// Keys that need a restart, unknown keys and values that cannot be meant are refused with Kafka's codes.
func TestConfigsThatCannotChangeAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	for key, value := range map[string]string{"listeners": "PLAINTEXT://127.0.0.1:1", "num.partitions": "3", "auto.create.topics.enable": "false"} {
		rs, err := r.adm.AlterBrokerConfigs(r.ctx, sets([]string{key, value}), 1)
		r.ok(err)
		res, err := rs.On("1", nil)
		r.ok(err)
		r.wantCode(res.Err, kerr.InvalidRequest)
	}
	for key, value := range map[string]string{"retention.mss": "1", "segment.bytes": "1", "cleanup.policy": "shred", "remote.storage.enable": "true"} {
		rs, err := r.adm.AlterTopicConfigs(r.ctx, sets([]string{key, value}), "none")
		r.ok(err)
		res, err := rs.On("none", nil)
		r.ok(err)
		r.wantCode(res.Err, kerr.UnknownTopicOrPartition)
		_, err = r.adm.CreateTopic(r.ctx, 1, 1, map[string]*string{key: &value}, "none")
		r.wantCode(err, kerr.InvalidConfig)
	}
}

// Configuration survives a restart, the dynamic one too.
func TestConfigurationSurvivesARestart(t *testing.T) {
	t.Parallel()
	r := start(t, klammtest.Set("num.partitions", "4"), klammtest.Set("log.retention.ms", "7200000"))
	r.create("kept", "retention.ms", "5000")
	r.alterBroker("log.segment.bytes", "2000000")
	r.broker.Restart()
	r.wantConfig("kept", "retention.ms", "5000", kmsg.ConfigSourceDynamicTopicConfig)
	r.wantConfig("kept", "segment.bytes", "2000000", kmsg.ConfigSourceDynamicBrokerConfig)
	_, err := r.adm.CreateTopic(r.ctx, -1, -1, nil, "defaults")
	r.ok(err)
	r.wantConfig("defaults", "retention.ms", "7200000", kmsg.ConfigSourceStaticBrokerConfig)
	ts, err := r.adm.ListTopics(r.ctx, "defaults")
	r.ok(err)
	if n := len(ts["defaults"].Partitions); n != 4 {
		t.Errorf("%d partitions, want num.partitions", n)
	}
	if ts["defaults"].ID == (kadm.TopicID{}) {
		t.Error("the topic has no id")
	}
}
