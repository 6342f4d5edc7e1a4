package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	load := flag.String("load", "", "internal: run this load from standard input's JSON and print its result")
	quick := flag.Bool("quick", false, "2 pairs and a short warm-up: for a first look")
	pairs := flag.Int("pairs", 10, "counted interleaved pairs of each row; one more is run first and discarded")
	only := flag.String("rows", "", "run only rows whose id is, or whose name contains, one of these, with | between. x3 are those for clusters")
	bin := flag.String("klamm", "bin/klamm", "the binary to measure")
	out := flag.String("out", "bench/results", "folder for raw runs")
	noKafka := flag.Bool("no-kafka", false, "measure Klamm alone")
	profiles := flag.String("profile", "", "folder for Klamm's CPU profiles, two seconds of one run of each row")
	warm := flag.Duration("warm", time.Minute, "warm-up of the JVM broker before the first row")
	flag.Parse()
	if *quick {
		*pairs, *warm = 2, 10*time.Second
	}
	var err error
	if *load != "" {
		err = serveLoad(*load)
	} else {
		s := session{quick: *quick, profiles: *profiles, pairs: *pairs, only: *only, bin: *bin, out: *out, noKafka: *noKafka, warm: *warm}
		err = s.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// session is one call of the program: both brokers alive, rows one after the other.
type session struct {
	pairs   int
	only    string
	bin     string
	out     string
	noKafka bool
	warm    time.Duration
	// profiles is a folder, "" for none.
	profiles string
	quick    bool

	klamm, kafka *broker
	raw          *json.Encoder
	results      []result
}

func (s *session) run() error {
	dir, err := os.MkdirTemp("", "klamm-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(s.out, time.Now().UTC().Format("20060102-150405")+".jsonl")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	s.raw = json.NewEncoder(f)
	begunSteal, begun := stealSeconds(), time.Now()

	for _, part := range []func(string) error{s.runOne, s.runCluster, s.runSolo} {
		if err := part(dir); err != nil {
			return err
		}
	}
	fmt.Print(table(s.results))
	fmt.Printf("\n%d pairs a row, brokers on cpu %s, load on cpu %s, host steal %.1f s in %s; raw runs in %s\n",
		s.pairs, brokerCPU, loadCPU, stealSeconds()-begunSteal, time.Since(begun).Round(time.Second), name)
	return nil
}

// wants reports whether a row was asked for: all are when nothing was.
func (s *session) wants(id, name string) bool {
	if s.only == "" {
		return true
	}
	for o := range strings.SplitSeq(s.only, "|") {
		if id == o || strings.Contains(name, o) {
			return true
		}
	}
	return false
}

func (s *session) wanted(all []row) (out []row) {
	for _, r := range all {
		if s.wants(r.ID, r.Name) {
			out = append(out, r)
		}
	}
	return out
}

// runOne is the rows for one broker.
func (s *session) runOne(dir string) (err error) {
	chosen := s.wanted(rows())
	if len(chosen) == 0 && !s.wants("B14", "start of one node") {
		return nil
	}
	if s.klamm, err = startKlamm(s.bin, filepath.Join(dir, "klamm"), "-X", retainSoon); err != nil {
		return err
	}
	defer func() { _ = s.klamm.close(false) }()
	idle := result{Row: "RSS idle", Unit: "MB", Target: 1.0 / 12, AtMost: true}
	ready := result{Row: "exec to first accept", Unit: "s", Target: 1.0 / 40, AtMost: true}
	if ready.Klamm, err = s.execTimes(filepath.Join(dir, "exec")); err != nil {
		return err
	}
	if !s.noKafka {
		if s.kafka, err = startKafka(filepath.Join(dir, "kafka")); err != nil {
			return err
		}
		defer func() { _ = s.kafka.close(false) }()
		ready.Kafka = []float64{s.kafka.ready.Seconds()}
	}
	time.Sleep(2 * time.Second) // idle memory is read after both have settled
	s.readRSS(&idle)
	s.results = append(s.results, ready, idle)

	if err := s.warmUp([]row{rows()[0], rows()[2]}); err != nil {
		return err
	}
	for _, r := range chosen {
		if err := s.measureRow(r); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		if r.LastProduce {
			after := result{Row: "RSS after the produce rows", Unit: "MB", Target: 1.0 / 8, AtMost: true}
			s.readRSS(&after)
			s.results = append(s.results, after)
		}
	}
	if !s.wants("B14", "start, 10,000 partitions") {
		return nil
	}
	starts, err := s.startRows(filepath.Join(dir, "start"))
	s.results = append(s.results, starts...)
	return err
}

// runCluster is the rows for three brokers on each side.
func (s *session) runCluster(dir string) (err error) {
	chosen := s.wanted(clusterRows())
	if len(chosen) == 0 {
		return nil
	}
	c, err := startKlammCluster(s.bin, filepath.Join(dir, "klamm3"), "-X", retainSoon)
	if err != nil {
		return err
	}
	s.klamm, s.kafka = c.broker, nil
	defer func() { _ = c.close(true) }()
	if !s.noKafka {
		if s.kafka, err = startKafkaCluster(filepath.Join(dir, "kafka3")); err != nil {
			return err
		}
		defer func() { _ = s.kafka.close(false) }()
	}
	s.warm *= clusterNodes // as many JVMs on the same processors
	if err := s.warmUp(clusterRows()); err != nil {
		return err
	}
	for _, r := range chosen {
		if err := s.measureRow(r); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return nil
}

// execs is how often Klamm is started to see how long that takes; one start of Kafka has to do.
const execs = 5

// execTimes is the median start of a node without data, in seconds. One start differs from the next by what else the machine does.
func (s *session) execTimes(dir string) ([]float64, error) {
	var took []float64
	for i := range execs {
		b, err := startKlamm(s.bin, filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		took = append(took, b.ready.Seconds())
		if err := b.close(false); err != nil {
			return nil, err
		}
	}
	if err := s.raw.Encode(map[string]any{"row": "exec to first accept", "broker": "klamm", "seconds": took}); err != nil {
		return nil, err
	}
	return []float64{median(took)}, nil
}

func (s *session) readRSS(r *result) {
	if v, err := rssMB(s.klamm.pid); err == nil {
		r.Klamm = append(r.Klamm, v)
	}
	if s.kafka != nil {
		if v, err := rssMB(s.kafka.pid); err == nil {
			r.Kafka = append(r.Kafka, v)
		}
	}
}

// warmUp lets the JVM compile its produce and fetch paths; it costs Klamm nothing to be treated alike, but there is no need.
func (s *session) warmUp(with []row) error {
	if s.kafka == nil {
		return nil
	}
	for end := time.Now().Add(s.warm); time.Now().Before(end); {
		for _, r := range with {
			if _, err := r.Run(s.kafka, 0); err != nil {
				return fmt.Errorf("warm-up: %w", err)
			}
		}
	}
	return nil
}

// measureRow runs A B B A ...: each side goes first as often as the other, and pair 0 is thrown away.
func (s *session) measureRow(r row) error {
	byMetric := map[string]*result{}
	for _, m := range r.Metrics {
		byMetric[m.Name] = &result{Row: r.Name, Metric: m.Name, Unit: m.Unit, Target: m.Target, AtMost: m.AtMost}
	}
	sides := []*broker{s.klamm, s.kafka}
	if s.kafka == nil {
		sides = sides[:1]
	}
	pairs := s.pairs
	if r.Pairs > 0 {
		pairs = r.Pairs
	}
	for pair := range pairs + 1 {
		for i := range sides {
			b := sides[(i+pair)%len(sides)]
			if pair == 1 && b == s.klamm && s.profiles != "" {
				defer b.profile(s.profiles, r.Name)()
			}
			got, err := r.Run(b, pair)
			if err != nil {
				return err
			}
			for metric, v := range got {
				if err := s.raw.Encode(map[string]any{"row": r.Name, "metric": metric, "broker": b.name, "pair": pair, "sample": v}); err != nil {
					return err
				}
				if pair == 0 || byMetric[metric] == nil {
					continue
				}
				if b == s.klamm {
					byMetric[metric].Klamm = append(byMetric[metric].Klamm, v.Value)
				} else {
					byMetric[metric].Kafka = append(byMetric[metric].Kafka, v.Value)
				}
			}
		}
	}
	for _, m := range r.Metrics {
		res := byMetric[m.Name]
		for i := 1; i < len(res.Klamm); i += 2 {
			res.AA = append(res.AA, res.Klamm[i]/res.Klamm[i-1])
		}
		s.results = append(s.results, *res)
		fmt.Fprintf(os.Stderr, "%s %s: klamm %s kafka %s %s\n", r.Name, m.Name, figure(median(res.Klamm)), figure(median(res.Kafka)), m.Unit)
	}
	return nil
}
