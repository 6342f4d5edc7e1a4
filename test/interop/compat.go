package interop

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Row is what one client did.
type Row struct {
	Client, Version, Language string
	Results                   Transcript
}

// Line is one thing shown of a program that does not go through Cases: a tool of Kafka, Spark.
type Line struct {
	// Program is who did it, What what was shown.
	Program, What string
}

// API is one of the APIs that the broker serves.
type API struct {
	Key      int16
	Name     string
	Min, Max int16
}

// Difference is a place where Klamm deliberately answers otherwise than Kafka.
type Difference struct {
	// Case is the name in the semantics program, Kafka and Klamm are what each answers, Reason says why.
	Case, Kafka, Klamm, Reason string
}

// Compatibility is all that docs/compatibility.md says.
type Compatibility struct {
	Rows     []Row
	Tools    []Line
	Spark    []Line
	Streams  []Line
	Failures []Line
	APIs     []API
	// Compared is how many things one broker was asked, ComparedThree how many three.
	Compared, ComparedThree int
	Differences             []Difference
}

// Render writes the document.
func (c Compatibility) Render() string {
	var b strings.Builder
	b.WriteString("# What works with Klamm\n\n" +
		"Written by the interop tests from what they ran; do not edit. Anew: `make interop-docs`. The same tests pass on Apache Kafka 4.3.1 with\n" +
		"`KLAMM_TEST_TARGET=kafka go test ./test/interop`.\n")
	c.clients(&b)
	c.lines(&b, "Apache Kafka's command line tools", "Tool", c.Tools)
	c.lines(&b, "Spark Structured Streaming", "Program", c.Spark)
	c.lines(&b, "Kafka Streams", "Program", c.Streams)
	c.lines(&b, "Through failures", "Client", c.Failures)
	c.compared(&b)
	c.apis(&b)
	return b.String()
}

// clients writes a row per client, by language and name.
func (c Compatibility) clients(b *strings.Builder) {
	rows := slices.Clone(c.Rows)
	slices.SortFunc(rows, func(x, y Row) int {
		return cmp.Or(cmp.Compare(x.Language, y.Language), cmp.Compare(x.Client, y.Client), cmp.Compare(y.Version, x.Version))
	})
	b.WriteString("\n## Client libraries\n\nEach goes through the same cases on three brokers, every partition on all of them and min.insync.replicas=2. On one broker: `KLAMM_TEST_BROKERS=1 go test ./test/interop`.\n\n| Client | Version | Language | Cases passed | Calls it does not have |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		passed := 0
		var absent []string
		for _, k := range Cases() {
			if strings.HasPrefix(r.Results[k.Name], "absent") {
				absent = append(absent, k.Name)
			} else if r.Results[k.Name] == k.Want {
				passed++
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s | %d of %d | %s |\n", r.Client, r.Version, r.Language, passed, len(Cases())-len(absent), strings.Join(absent, ", "))
	}
	b.WriteString("\nThe cases:\n\n| Case | What is done |\n|---|---|\n")
	for _, k := range Cases() {
		fmt.Fprintf(b, "| %s | %s |\n", k.Name, k.Text)
	}
	b.WriteString("\nAfter each client the batches in the log are read raw: they must be compressed with the codec that the client was told to use.\n")
}

// lines writes what programs showed, one row per program.
func (c Compatibility) lines(b *strings.Builder, title, head string, lines []Line) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| %s | Shown |\n|---|---|\n", title, head)
	var order []string
	by := map[string][]string{}
	for _, l := range lines {
		if by[l.Program] == nil {
			order = append(order, l.Program)
		}
		if !slices.Contains(by[l.Program], l.What) {
			by[l.Program] = append(by[l.Program], l.What)
		}
	}
	slices.Sort(order)
	for _, p := range order {
		fmt.Fprintf(b, "| %s | %s |\n", p, strings.Join(by[p], "; "))
	}
}

// compared writes where Klamm and Kafka differ, by reason.
func (c Compatibility) compared(b *strings.Builder) {
	if c.Compared == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Compared with Apache Kafka\n\nOne Java program asks both %d things (results, error codes, messages). They answer alike but for what follows.\n"+
		"Three brokers of Klamm are asked %d of them too, and compared with what three of Kafka's answered (`test/interop/testdata/kafka3.txt`).\n", c.Compared, c.ComparedThree)
	var reasons []string
	by := map[string][]Difference{}
	for _, d := range c.Differences {
		if by[d.Reason] == nil {
			reasons = append(reasons, d.Reason)
		}
		by[d.Reason] = append(by[d.Reason], d)
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		fmt.Fprintf(b, "\n%s\n\n| Case | Kafka 4.3.1 | Klamm |\n|---|---|---|\n", r)
		for _, d := range by[r] {
			fmt.Fprintf(b, "| %s | %s | %s |\n", d.Case, cell(d.Kafka), cell(d.Klamm))
		}
	}
}

// cell makes a text fit for a table, and the same on every run.
func cell(s string) string {
	s = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(s, "ADDR")
	s = regexp.MustCompile(`/tmp/[^ ,\]]+`).ReplaceAllString(s, "DIR")
	s = strings.ReplaceAll(s, "|", "\\|")
	if start, ok := strings.CutSuffix(s, "*"); ok {
		s = start + "..."
	}
	if len(s) > 160 {
		s = s[:157] + "..."
	}
	return s
}

// apis writes the versions served.
func (c Compatibility) apis(b *strings.Builder) {
	b.WriteString("\n## APIs served\n\n| Key | API | Versions |\n|---|---|---|\n")
	for _, a := range c.APIs {
		fmt.Fprintf(b, "| %d | %s | %d-%d |\n", a.Key, a.Name, a.Min, a.Max)
	}
}
