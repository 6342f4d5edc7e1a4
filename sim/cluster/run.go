package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/sim/history"
	"github.com/klamm/klamm/sim/workload"
)

// topic is what the workload writes to.
const topic = "work"

const (
	// formTime is how long a cluster may take to form on an undisturbed network.
	formTime = 30 * time.Second
	// healTime is how long everything may take to be whole again after the last fault.
	healTime = 90 * time.Second
	// lookEvery is between two looks of the oracle.
	lookEvery = 10 * time.Millisecond
)

// Run runs the seed: form, work under faults, heal, check. It returns what was violated.
func (s *Sim) Run() error {
	err := s.run()
	if f := s.failure(); f != nil {
		err = f
	}
	return errors.Join(err, s.end())
}

func (s *Sim) run() error {
	for _, m := range s.machines {
		m.start()
		time.Sleep(time.Duration(s.drawInt64(0, int64(200*time.Millisecond))))
	}
	if err := s.until("the cluster to form", formTime, s.allReady); err != nil {
		return err
	}
	admin, err := s.adminClient()
	if err != nil {
		return err
	}
	defer admin.Close()
	rec := history.NewRecorder(func() int64 { return int64(time.Since(s.begin)) })
	s.history = rec.History
	w, err := workload.New(s.workload(rec))
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), formTime)
	err = w.Create(ctx)
	cancel()
	if err != nil {
		return fmt.Errorf("creating the topic: %w", err)
	}
	s.trace("the work begins")
	o := newOracle(s)
	watching := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		o.watch(watching)
	}()
	defer func() { <-watched }()
	defer close(watching)
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	w.Start(ctx)
	newNemesis(s, admin).torment()
	s.heal()
	healed := time.Since(s.begin)
	if s.failure() != nil {
		return nil
	}
	if err := s.until("the cluster to be whole again", healTime, s.settled); err != nil {
		return fmt.Errorf("liveness: %w", err)
	}
	s.trace("whole again")
	if err := s.finish(w, rec, healed); err != nil {
		return err
	}
	if s.failure() != nil {
		return nil
	}
	if err := s.until("all copies to have everything", healTime, s.level); err != nil {
		return fmt.Errorf("R8: %w; %s", err, s.uneven())
	}
	return o.same()
}

// finish reads everything back and judges what the clients saw.
func (s *Sim) finish(w *workload.Workload, rec *history.Recorder, healed time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), healTime)
	defer cancel()
	err := w.Final(ctx)
	found := w.Check(history.Options{Healed: int64(healed), Final: true, ZombieReads: true})
	for _, a := range found[:min(len(found), 5)] {
		s.trace("ANOMALY %s", history.Trace(rec.History(), a))
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: %d anomalies, first: %s", found[0].Kind, len(found), found[0])
	}
	if err != nil {
		return fmt.Errorf("liveness: %w", err)
	}
	return s.busy(rec.History())
}

// busy makes sure that the run was about something.
func (s *Sim) busy(h history.History) error {
	acked, read := 0, 0
	for i := range h {
		switch {
		case h[i].F == history.Send && h[i].Type == history.OK:
			acked++
		case h[i].F == history.Poll && h[i].Type == history.OK:
			read += len(h[i].Mops)
		}
	}
	s.mu.Lock()
	s.mu.reached["acknowledged"] += uint64(acked)
	s.mu.reached["read"] += uint64(read)
	s.mu.reached["ops"] += uint64(len(h))
	s.mu.Unlock()
	if acked < 100 || read < acked {
		return fmt.Errorf("only %d records were acknowledged and %d read: this run proves nothing", acked, read)
	}
	return nil
}

// end stops every node, so that the bubble can be left.
func (s *Sim) end() error {
	s.ended = true
	s.heal()
	var errs []error
	for _, m := range s.machines {
		if s.failure() != nil {
			m.end(kill)
			continue
		}
		if err := m.stop(); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", m.name, err))
		}
	}
	s.zombies.Wait()
	return errors.Join(errs...)
}

// heal ends every fault and starts what does not run.
func (s *Sim) heal() {
	s.trace("heal")
	s.net.Heal()
	for _, m := range s.machines {
		m.mu.Lock()
		m.disk.SetCapacity(0)
		p := m.proc
		m.mu.Unlock()
		m.syncs.Store(int64(usualSync))
		if p != nil {
			p.faults.Heal()
			p.gate.reopen()
		}
		if !s.ended {
			m.start()
		}
	}
}

// until waits for a condition.
func (s *Sim) until(what string, limit time.Duration, cond func() bool) error {
	end := time.Now().Add(limit)
	for !cond() {
		if s.failure() != nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v for %s: %s", limit, what, s.state())
		}
		for _, m := range s.machines {
			m.start() // as an init system would
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

func (s *Sim) allReady() bool {
	return !slices.ContainsFunc(s.machines, func(m *machine) bool { return m.ready() == nil })
}

// settled reports that every node runs and every partition has all its replicas in its ISR.
func (s *Sim) settled() bool {
	return s.allReady() && len(s.unsettled(1)) == 0
}

// unsettled names partitions that are not whole.
func (s *Sim) unsettled(most int) []string {
	var out []string
	img := s.newestImage()
	for t := range img.Topics() {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if len(p.Replicas) == 1 && s.lost(p.Replicas[0]) {
				continue // an only copy, on the disk that may lose what it has
			}
			if p.Leader == model.NoBroker || len(p.ISR) != len(p.Replicas) || len(p.Adding)+len(p.Removing) > 0 {
				out = append(out, fmt.Sprintf("%s-%d leader %d epoch %d replicas %v isr %v elr %v adding %v removing %v", t.Name, i, p.Leader, p.LeaderEpoch,
					p.Replicas, p.ISR, p.ELR, p.Adding, p.Removing))
				if len(out) == most {
					return out
				}
			}
		}
	}
	return out
}

// machine is the one of a broker, nil for none.
func (s *Sim) machine(id model.BrokerID) *machine {
	if i := slices.IndexFunc(s.machines, func(m *machine) bool { return m.id == int(id) }); i >= 0 {
		return s.machines[i]
	}
	return nil
}

func (s *Sim) lost(id model.BrokerID) bool {
	return slices.ContainsFunc(s.machines, func(m *machine) bool { return m.id == int(id) && (m.wiped.Load() || m.suspect.Load()) })
}

func (s *Sim) newestImage() *metadata.Image {
	img := metadata.Empty("")
	for _, l := range s.living() {
		if i := l.n.Image(); i.Offset > img.Offset {
			img = i
		}
	}
	return img
}

// level reports that every replica has everything, and knows that all others have.
func (s *Sim) level() bool { return s.uneven() == "" && s.settled() }

// uneven names a replica that does not have, or know, what another has.
func (s *Sim) uneven() string {
	ends := map[model.TopicIDPartition]model.Offset{}
	for _, l := range s.living() {
		for _, r := range l.n.Replicas() {
			tp := model.TopicIDPartition{ID: r.ID(), Partition: r.TP().Partition}
			end, ok := ends[tp]
			if !ok {
				end = r.LogEnd()
				ends[tp] = end
			}
			if r.LogEnd() != end || r.HighWatermark() != end {
				return fmt.Sprintf("%s-%d on node %d ends at %d with a high watermark of %d, another copy at %d", r.TP().Topic, tp.Partition, l.n.ID(), r.LogEnd(),
					r.HighWatermark(), end)
			}
		}
	}
	return ""
}

// state says what keeps the cluster from being whole.
func (s *Sim) state() string {
	var out []string
	for _, m := range s.machines {
		switch n := m.ready(); {
		case n == nil && m.running():
			out = append(out, m.name+" is starting")
		case n == nil:
			out = append(out, m.name+" is down")
		default:
			st := n.QuorumStatus()
			out = append(out, fmt.Sprintf("%s: metadata %d, quorum leader %d term %d", m.name, n.Image().Offset, st.Leader, st.Term))
		}
	}
	return strings.Join(append(out, s.unsettled(4)...), "; ")
}

func (s *Sim) brokerIDs() []int32 {
	var ids []int32
	for _, b := range s.newestImage().Brokers() {
		ids = append(ids, int32(b.ID))
	}
	slices.Sort(ids)
	return ids
}

// watch looks at the cluster until it is told to stop.
func (o *oracle) watch(stop <-chan struct{}) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			o.look()
		case <-stop:
			return
		}
	}
}

// client is a machine of a client's own.
func (s *Sim) client() func(ctx context.Context, network, addr string) (net.Conn, error) {
	s.clients++
	h := s.net.Boot(netip.AddrFrom4([4]byte{10, 0, 1, byte(s.clients)}), &gate{})
	return h.DialContext
}

func (s *Sim) addrs() []string {
	var out []string
	for _, m := range s.machines {
		out = append(out, m.at(9092))
	}
	return out
}

func (s *Sim) adminClient() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(s.addrs()...), kgo.Dialer(s.client()), kgo.RequestTimeoutOverhead(3*time.Second), kgo.RetryTimeout(4*time.Second))
}

// workload is what the seed makes of the clients.
func (s *Sim) workload(rec *history.Recorder) workload.Options {
	return workload.Options{
		Seeds: s.addrs(), Dial: s.client(), Rand: rand.New(rand.NewPCG(s.draw(), 4)), Recorder: rec, Topic: topic, Partitions: s.opts.Partitions,
		Replicas: 3, Configs: s.opts.topic, Load: s.opts.load, Codecs: []kgo.CompressionCodec{kgo.NoCompression()},
	}
}
