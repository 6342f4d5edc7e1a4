package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/test/lab"
	"github.com/klamm/klamm/test/process"
)

// machine is a host with a disk, and on it a klamm process or none.
type machine struct {
	number int
	host   *lab.Host
	disk   *lab.Disk
	node   *process.Node // nil while none runs
	log    *os.File      // everything its processes printed
	id     int32         // of its broker; -1 before anybody has seen it
	starts int
}

func (m *machine) String() string { return fmt.Sprintf("m%d(broker %d)", m.number, m.id) }

func (m *machine) data() string  { return filepath.Join(m.disk.Dir, "data") }
func (m *machine) kafka() string { return m.host.IP + ":9092" }
func (m *machine) peer() string  { return m.host.IP + ":9093" }
func (m *machine) http() string  { return m.host.IP + ":9094" }

// fleet is a cluster of machines.
type fleet struct {
	t        *testing.T
	lab      *lab.Lab
	machines []*machine
	args     []string // of every process
	join     string   // the founders
}

const diskMiB = 512

// newFleet puts up machines and starts a cluster on them.
func newFleet(t *testing.T, size int, args ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, lab: lab.New(t), args: args}
	t.Cleanup(func() { f.abandon() })
	for range size {
		if _, err := f.install(); err != nil {
			t.Fatal(err)
		}
	}
	var peers []string
	for _, m := range f.machines {
		peers = append(peers, m.peer())
	}
	f.join = strings.Join(peers, ",")
	if err := f.startAll(); err != nil {
		t.Fatal(err)
	}
	return f
}

// abandon ends every process, and shows what the nodes said last when the test has failed.
func (f *fleet) abandon() {
	for _, m := range f.machines {
		if m.node != nil {
			_ = m.disk.Thaw() // a writer to a hung disk cannot be killed; fails where it does not hang
			m.node.Kill()
		}
		if f.t.Failed() {
			keep(f.t, m.log.Name(), fmt.Sprintf("node-%d.log", m.number))
		}
		_ = m.log.Close()
	}
}

// keep copies a file to where a failed run is looked at: CHAOS_KEEP, or nowhere.
func keep(t *testing.T, file, name string) {
	dir := os.Getenv("CHAOS_KEEP")
	if dir == "" {
		return
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	if err != nil {
		t.Log(err)
	}
}

// install puts up another machine; nothing runs on it.
func (f *fleet) install() (*machine, error) {
	m := &machine{number: len(f.machines) + 1, id: -1}
	var err error
	if m.host, err = f.lab.Host(); err != nil {
		return nil, err
	}
	if m.disk, err = f.lab.Disk(fmt.Sprint("disk", m.number), diskMiB); err != nil {
		return nil, err
	}
	m.log, err = os.Create(filepath.Join(f.lab.Dir(), fmt.Sprintf("node-%d.log", m.number)))
	f.machines = append(f.machines, m)
	return m, err
}

// launch starts a process on the machine and does not wait.
func (f *fleet) launch(m *machine) error {
	if m.node != nil {
		return fmt.Errorf("%v runs already", m)
	}
	m.starts++
	fmt.Fprintf(m.log, "---- start %d at %s\n", m.starts, time.Now().Format(time.RFC3339Nano))
	command := append([]string{process.Binary(f.t), "server", "--data", m.data(), "--listen", m.kafka(), "--node-listen", m.peer(), "--http-listen", m.http(),
		"--join", f.join}, f.args...)
	var err error
	m.node, err = process.Launch(m.log, m.host.Command(command...)...)
	return err
}

const readyTime = 60 * time.Second

// start starts a process on each of the machines and waits until all are ready.
func (f *fleet) start(which ...*machine) error {
	if err := f.launchAll(which...); err != nil {
		return err
	}
	return f.ready(which...)
}

// launchAll is launch for several.
func (f *fleet) launchAll(which ...*machine) error {
	for _, m := range which {
		if err := f.launch(m); err != nil {
			return err
		}
	}
	return nil
}

// ready waits until the processes of these machines are.
func (f *fleet) ready(which ...*machine) error {
	end := time.Now().Add(readyTime)
	for _, m := range which {
		if err := m.node.AwaitReady(time.Until(end)); err != nil {
			m.node = nil
			return fmt.Errorf("%v: %w", m, err)
		}
	}
	return nil
}

// startAll starts whatever does not run.
func (f *fleet) startAll() error {
	var down []*machine
	for _, m := range f.machines {
		if m.node == nil {
			down = append(down, m)
		}
	}
	return f.start(down...)
}

// kill ends processes as crashes do, all at once.
func (f *fleet) kill(which ...*machine) {
	var wg sync.WaitGroup
	for _, m := range which {
		wg.Go(m.node.Kill)
	}
	wg.Wait()
	for _, m := range which {
		m.node = nil
	}
}

// terminate ends a process as an operator does.
func (f *fleet) terminate(m *machine) error {
	err := m.node.Terminate(30 * time.Second)
	if err != nil {
		m.node.Kill()
		err = fmt.Errorf("%v: SIGTERM: %w", m, err)
	}
	m.node = nil
	return err
}

// running are the machines with a process.
func (f *fleet) running() (out []*machine) {
	for _, m := range f.machines {
		if m.node != nil {
			out = append(out, m)
		}
	}
	return out
}

// alive complains about processes that ended by themselves.
func (f *fleet) alive() error {
	for _, m := range f.running() {
		select {
		case <-m.node.Done():
			return fmt.Errorf("the process of %v ended by itself:\n%s", m, m.node.Log())
		default:
		}
	}
	return nil
}

// addrs are where clients connect, of all machines.
func (f *fleet) addrs() (out []string) {
	for _, m := range f.machines {
		out = append(out, m.kafka())
	}
	return out
}

// client is a client for questions, by one address or several. It does not wait long for an answer: the next question may go elsewhere.
func (f *fleet) client(addrs ...string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(20*time.Millisecond), kgo.DialTimeout(time.Second), kgo.RequestTimeoutOverhead(2*time.Second),
		kgo.RetryTimeout(5*time.Second), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
}

// view is the cluster as its metadata has it.
type view struct {
	controller int32
	topics     map[string][]kadm.PartitionDetail // by partition
	ids        map[string]kadm.TopicID
}

// look asks the machines, one after the other, until one answers.
func (f *fleet) look(ctx context.Context, topics ...string) (view, error) {
	var errs []error
	for _, m := range f.running() {
		v, err := f.lookFrom(ctx, m, topics...)
		if err == nil {
			return v, nil
		}
		errs = append(errs, fmt.Errorf("%v: %w", m, err))
	}
	return view{}, errors.Join(errs...)
}

// lookFrom asks one machine, and learns which broker runs where.
func (f *fleet) lookFrom(ctx context.Context, m *machine, topics ...string) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cl, err := f.client(m.kafka())
	if err != nil {
		return view{}, err
	}
	defer cl.Close()
	req := kmsg.NewPtrDescribeQuorumRequest()
	rt := kmsg.NewDescribeQuorumRequestTopic()
	rt.Topic = "__cluster_metadata"
	rt.Partitions = append(rt.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, rt)
	q, err := req.RequestWith(ctx, cl)
	if err != nil {
		return view{}, err
	}
	if q.ErrorCode != 0 || len(q.Topics) != 1 || len(q.Topics[0].Partitions) != 1 {
		return view{}, fmt.Errorf("describe quorum: %v: %w", q.Topics, kerr.ErrorForCode(q.ErrorCode))
	}
	md, err := kadm.NewClient(cl).Metadata(ctx, topics...)
	if err != nil {
		return view{}, err
	}
	v := view{controller: q.Topics[0].Partitions[0].LeaderID, topics: map[string][]kadm.PartitionDetail{}, ids: map[string]kadm.TopicID{}}
	for _, b := range md.Brokers {
		for _, m := range f.machines {
			if m.host.IP == b.Host && b.NodeID > m.id {
				m.id = b.NodeID // a wiped machine comes back under a higher one
			}
		}
	}
	for _, t := range md.Topics {
		if t.Err != nil {
			return view{}, fmt.Errorf("topic %s: %w", t.Topic, t.Err)
		}
		v.topics[t.Topic], v.ids[t.Topic] = t.Partitions.Sorted(), t.ID
	}
	return v, nil
}

// of is the machine of a broker, or nil.
func (f *fleet) of(id int32) *machine {
	i := slices.IndexFunc(f.machines, func(m *machine) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	return f.machines[i]
}

// others are the addresses of all machines but these.
func (f *fleet) others(not ...*machine) (out []string) {
	for _, m := range f.machines {
		if !slices.Contains(not, m) {
			out = append(out, m.host.IP)
		}
	}
	return out
}

// healed waits until every partition of these topics has a leader and all its replicas in sync, as every node that runs has it: one alone may not have heard
// yet of what was broken.
func (f *fleet) healed(ctx context.Context, topics ...string) error {
	for end := time.Now().Add(time.Minute); ; {
		err := f.agree(ctx, topics...)
		if err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the cluster does not heal: %w", err)
		}
		time.Sleep(50 * time.Millisecond) // asks again; orders nothing
	}
}

// agree asks every node that runs, and reports what is not well, or on what they do not agree.
func (f *fleet) agree(ctx context.Context, topics ...string) error {
	var first *view
	for _, m := range f.running() {
		v, err := f.lookFrom(ctx, m, topics...)
		if err == nil {
			err = v.unhealthy()
		}
		if err != nil {
			return fmt.Errorf("%v: %w", m, err)
		}
		if first == nil {
			first = &v
		}
		for topic, parts := range v.topics {
			same := slices.EqualFunc(parts, first.topics[topic], func(a, b kadm.PartitionDetail) bool {
				return a.Leader == b.Leader && a.LeaderEpoch == b.LeaderEpoch && slices.Equal(a.ISR, b.ISR)
			})
			if !same {
				return fmt.Errorf("%v has %v for %s, another %v", m, parts, topic, first.topics[topic])
			}
		}
	}
	if first == nil {
		return errors.New("no node runs")
	}
	return nil
}

func (v view) unhealthy() error {
	if len(v.topics) == 0 {
		return errors.New("no topic is seen")
	}
	for topic, parts := range v.topics {
		if len(parts) == 0 {
			return fmt.Errorf("%s has no partition", topic)
		}
		for _, p := range parts {
			if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s-%d: leader %d, replicas %v, in sync %v", topic, p.Partition, p.Leader, p.Replicas, p.ISR)
			}
		}
	}
	return nil
}
