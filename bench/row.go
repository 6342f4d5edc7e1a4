package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// sample is one number of one run. Raw keeps what else was seen, for the file.
type sample struct {
	Value float64        `json:"value"`
	Raw   map[string]any `json:"raw,omitempty"`
}

// row is one line of the table: a load that both brokers get in turn.
type row struct {
	ID     string // performance.md's B1..B16, or a name
	Name   string
	Unit   string
	Target float64 // of the ratio Klamm / Kafka; 0: none stated
	AtMost bool    // the ratio must not exceed Target; otherwise it must not fall below
	// Metrics of one run; a row that measures several numbers in one run (p50 and p99) names them here.
	Run func(b *broker, run int) (map[string]sample, error)
	// Metrics lists what Run returns, in print order, with targets that override Target.
	Metrics []metric
	Pairs   int // 0: the session's default
	// Cluster rows run against three brokers instead of one.
	Cluster bool
	// LastProduce marks the last of the rows that produce in bulk: memory is read behind it.
	LastProduce bool
}

type metric struct {
	Name   string
	Unit   string
	Target float64
	AtMost bool
}

// result is what a row gave: paired samples of one metric.
type result struct {
	Row, Metric, Unit string
	Target            float64
	AtMost            bool
	Limit             float64 // of Klamm's own figure, for rows without a Kafka side; 0: none
	Klamm, Kafka      []float64
	AA                []float64 // Klamm against itself, neighbouring runs
}

// ratios pairs run by run, which survives a machine whose speed drifts.
func (r *result) ratios() []float64 {
	out := []float64{}
	for i := range min(len(r.Klamm), len(r.Kafka)) {
		out = append(out, r.Klamm[i]/r.Kafka[i])
	}
	return out
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func (r *result) verdict() string {
	m := median(r.ratios())
	switch {
	case r.Limit > 0 && median(r.Klamm) <= r.Limit:
		return "met"
	case r.Limit > 0:
		return "MISSED"
	case r.Target == 0 || math.IsNaN(m):
		return ""
	case r.AtMost && m <= r.Target, !r.AtMost && m >= r.Target:
		return "met"
	}
	return "MISSED"
}

// table prints the results as text; every figure is a median and the ratio stands with its smallest and largest pair.
func table(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-38s %-10s %10s %10s   %-22s %-10s %s\n", "row", "unit", "klamm", "kafka", "ratio (min..max)", "target", "")
	for _, r := range results {
		target := ""
		if r.Target != 0 {
			sign := ">="
			if r.AtMost {
				sign = "<="
			}
			target = fmt.Sprintf("%s %.3g", sign, r.Target)
		}
		if r.Limit != 0 {
			target = fmt.Sprintf("<= %.3g %s", r.Limit, r.Unit)
		}
		ratio := "-"
		if q := r.ratios(); len(q) > 0 {
			ratio = fmt.Sprintf("%.3f (%.3f..%.3f)", median(q), slices.Min(q), slices.Max(q))
		}
		name := r.Row
		if r.Metric != "" {
			name += ", " + r.Metric
		}
		fmt.Fprintf(&b, "%-38s %-10s %10s %10s   %-22s %-10s %s\n", name, r.Unit, figure(median(r.Klamm)), figure(median(r.Kafka)), ratio, target, r.verdict())
		if len(r.AA) > 0 {
			fmt.Fprintf(&b, "%-38s %-10s %10s %10s   %.3f (%.3f..%.3f)\n", "  A/A", "", "", "", median(r.AA), slices.Min(r.AA), slices.Max(r.AA))
		}
	}
	return b.String()
}

func figure(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.4g", v)
}
