package connect

import (
	"errors"
	"slices"
	"testing"
)

func TestAddresses(t *testing.T) {
	got, err := addresses([]string{"a,b:1", " PLAINTEXT://c:2 ", "[::1]:3", "::1"})
	if want := []string{"a:9092", "b:1", "c:2", "[::1]:3", "[::1]:9092"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "a:b", "a:0", "a:70000"} {
		if got, err := addresses([]string{bad}); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestProperties(t *testing.T) {
	for name, value := range map[string]string{
		"acks": "2", "compression.type": "rar", "linger.ms": "soon", "isolation.level": "none", "security.protocol": "SASL_SSL", "partition.assignment.strategy": "MyAssignor",
	} {
		_, err := Settings{Bootstrap: []string{"a"}, Properties: map[string]string{name: value}}.Client()
		var bad *PropertyError
		if !errors.As(err, &bad) || bad.Name != name {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	var unknown *UnknownPropertyError
	if _, err := (Settings{Bootstrap: []string{"a"}, Strict: true, Properties: map[string]string{"no.such": "1"}}).Client(); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
	// Kafka's own tools let unknown properties pass; and every known one must make a client.
	all := map[string]string{
		"no.such": "1", "client.id": "x", "client.rack": "r", "metadata.max.age.ms": "5000", "acks": "1", "linger.ms": "10", "batch.size": "100", "compression.type": "zstd", "retries": "0",
		"max.in.flight.requests.per.connection": "5", "group.instance.id": "i", "session.timeout.ms": "10000", "heartbeat.interval.ms": "3000", "fetch.max.bytes": "1000000",
		"partition.assignment.strategy": "org.apache.kafka.clients.consumer.RangeAssignor", "auto.commit.interval.ms": "1", "request.timeout.ms": "1500", "retry.backoff.ms": "100",
	}
	c, err := Settings{Bootstrap: []string{"a"}, Properties: all}.Client()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
