package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// What a node may use at the end of a campaign, idle or nearly so.
const (
	maxRSS        = 400 << 20
	maxFDs        = 1000
	maxGoroutines = 1000
)

// A run that did less than this shows nothing.
const (
	minAcksPerSecond = 50
	minElections     = 10
)

// finish ends a campaign: everything is whole again, what clients saw is checked, then what lies on the disks, and what the nodes said and used.
func (c *campaign) finish() {
	c.t.Helper()
	c.must(c.f.startAll())
	topics := []string{loadTopic, probeTopic}
	c.must(c.f.healed(c.ctx, topics...))
	healed := time.Since(c.load.begun)
	acks := c.load.acked()
	c.must(c.progress(50, 10*time.Second))
	c.judge(healed.Nanoseconds())

	v, err := c.f.look(c.ctx, topics...)
	c.must(err)
	elections := 0
	for _, p := range v.topics[loadTopic] {
		elections += int(p.LeaderEpoch)
	}
	rate := float64(acks) / healed.Seconds()
	c.t.Logf("%d acknowledged in %v (%.0f/s), %d kills, %d elections, faults %v", acks, healed.Round(time.Second), rate, c.kills, elections, c.done)
	if rate < minAcksPerSecond && c.whole {
		c.t.Errorf("%.0f acknowledgements a second, want %d: this run shows little", rate, minAcksPerSecond)
	}
	if elections < minElections && c.whole {
		c.t.Errorf("%d elections only: this run shows little", elections)
	}
	ends, err := c.ends(topics...)
	c.must(err)
	for _, m := range c.f.machines {
		if err := m.uses(); err != nil {
			c.t.Error(err)
		}
	}
	c.must(each(c.f.running(), func(m *machine) error {
		if err := m.node.Terminate(30 * time.Second); err != nil {
			return fmt.Errorf("%v: %w", m, err)
		}
		return nil
	}))
	for _, m := range c.f.machines {
		m.node = nil
	}
	c.compareReplicas(v, ends)
	for _, m := range c.f.machines {
		if err := m.complains(); err != nil {
			c.t.Error(err)
		}
	}
}

// ends are the high watermarks by topic and partition.
func (c *campaign) ends(topics ...string) (kadm.ListedOffsets, error) {
	cl, err := c.f.client(c.f.addrs()...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Second)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
	return ends, errors.Join(err, ends.Error())
}

// uses checks that a node has not grown.
func (m *machine) uses() error {
	proc := filepath.Join("/proc", strconv.Itoa(m.node.PID()))
	statm, err := os.ReadFile(filepath.Join(proc, "statm"))
	if err != nil {
		return err
	}
	var size, rss int
	if _, err := fmt.Sscan(string(statm), &size, &rss); err != nil {
		return err
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return err
	}
	goroutines, err := m.goroutines()
	if err != nil {
		return err
	}
	rss *= os.Getpagesize()
	if rss > maxRSS || len(fds) > maxFDs || goroutines > maxGoroutines {
		return fmt.Errorf("%v has %d MiB of %d, %d descriptors of %d, %d goroutines of %d", m, rss>>20, maxRSS>>20, len(fds), maxFDs, goroutines, maxGoroutines)
	}
	return nil
}

func (m *machine) goroutines() (int, error) {
	cl := http.Client{Timeout: 10 * time.Second}
	resp, err := cl.Get("http://" + m.http() + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^go_goroutines (\d+)$`).FindSubmatch(b)
	if found == nil {
		return 0, fmt.Errorf("%v: no go_goroutines among the metrics", m)
	}
	return strconv.Atoi(string(found[1]))
}

// complains looks through all that a machine's processes printed for what must never be there.
func (m *machine) complains() error {
	in, err := os.Open(m.log.Name())
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		s := lines.Text()
		for _, bad := range []string{"panic:", "invariant", "fatal error:", "goroutine 1 ["} {
			if strings.Contains(s, bad) {
				return fmt.Errorf("%v printed: %s", m, s)
			}
		}
	}
	return lines.Err()
}
