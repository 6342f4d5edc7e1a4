package connect

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Settings say which cluster to talk to and how.
type Settings struct {
	Bootstrap  []string          // host:port; a missing port is 9092
	ClientID   string            // where no property says otherwise
	Timeout    time.Duration     // for one request with all its retries; 0 means 15 s
	Properties map[string]string // in the names Java clients have (client.id, linger.ms, isolation.level)
	// Strict refuses properties nobody knows. Kafka's own tools let them pass, so the tools called by their names do too.
	Strict bool
	// Extra comes after what the properties say and wins over it.
	Extra []kgo.Opt
}

// UnknownPropertyError says that no client property has this name.
type UnknownPropertyError struct{ Name string }

// Error names the property.
func (e *UnknownPropertyError) Error() string { return "no client property is called " + e.Name }

// PropertyError says that a property's value will not do.
type PropertyError struct{ Name, Value, Reason string }

// Error names property, value and reason.
func (e *PropertyError) Error() string {
	return fmt.Sprintf("%s=%s: %s", e.Name, e.Value, e.Reason)
}

// DefaultTimeout bounds a request with all its retries.
const DefaultTimeout = 15 * time.Second

// Client connects lazily: the first request finds out whether anybody is there.
func (s Settings) Client(extra ...kgo.Opt) (*kgo.Client, error) {
	seeds, err := addresses(s.bootstrap())
	if err != nil {
		return nil, err
	}
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.ClientID(s.ClientID), kgo.DialTimeout(min(timeout, 10*time.Second)), kgo.RetryTimeout(timeout),
		kgo.RequestRetries(8), kgo.RetryBackoffFn(backoff), kgo.DisableClientMetrics(), kgo.MetadataMinAge(50 * time.Millisecond),
		// Kafka's own: a fetch that waits holds up every partition of its broker that becomes readable meanwhile.
		kgo.FetchMaxWait(500 * time.Millisecond),
		// What Java's producer does where nobody says otherwise, which is what people expect to measure and to see on disk.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5 * time.Millisecond),
	}
	fromProperties, err := s.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, fromProperties...)
	opts = append(opts, s.Extra...)
	return kgo.NewClient(append(opts, extra...)...)
}

// Admin is a Client with kadm's requests over it.
func (s Settings) Admin() (*Cluster, error) {
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	a := kadm.NewClient(c)
	if s.Timeout > 0 {
		a.SetTimeoutMillis(int32(min(s.Timeout.Milliseconds(), 1<<31-1)))
	}
	return &Cluster{Client: a, Raw: c}, nil
}

// backoff is short: a person waits.
func backoff(tries int) time.Duration {
	return min(time.Duration(tries)*100*time.Millisecond, time.Second)
}

func (s Settings) bootstrap() []string {
	if len(s.Bootstrap) == 0 {
		return strings.Split(s.Properties["bootstrap.servers"], ",")
	}
	return s.Bootstrap
}

// addresses completes host:port.
func addresses(list []string) ([]string, error) {
	var out []string
	for _, item := range list {
		for a := range strings.SplitSeq(item, ",") {
			a = strings.TrimSpace(a)
			if _, rest, ok := strings.Cut(a, "://"); ok { // PLAINTEXT://host:port
				a = rest
			}
			if a == "" {
				continue
			}
			host, port, err := net.SplitHostPort(a)
			if err != nil {
				host, port = strings.Trim(a, "[]"), "9092"
			}
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				return nil, &PropertyError{Name: "bootstrap.servers", Value: a, Reason: "the port is not a number from 1 to 65535"}
			}
			out = append(out, net.JoinHostPort(host, port))
		}
	}
	if len(out) == 0 {
		return nil, &PropertyError{Name: "bootstrap.servers", Reason: "no broker is named"}
	}
	return out, nil
}

// options translates the properties.
func (s Settings) options() ([]kgo.Opt, error) {
	known := properties()
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	var opts []kgo.Opt
	for _, name := range names {
		value := strings.TrimSpace(s.Properties[name])
		p, ok := known[name]
		switch {
		case ok && p != nil:
			opt, err := p(value)
			if err != nil {
				return nil, &PropertyError{Name: name, Value: value, Reason: err.Error()}
			}
			if opt != nil {
				opts = append(opts, opt)
			}
		case !ok && s.Strict:
			return nil, &UnknownPropertyError{Name: name}
		}
	}
	if acks, ok := s.Properties["acks"]; ok && !allAcks(acks) || s.Properties["enable.idempotence"] == "false" {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	return opts, nil
}

func allAcks(acks string) bool { return acks == "all" || acks == "-1" }

// Cluster is a client with the admin requests over it, and the client itself for requests they do not cover.
type Cluster struct {
	*kadm.Client
	Raw *kgo.Client
}
