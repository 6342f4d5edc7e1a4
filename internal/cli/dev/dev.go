package dev

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cluster is a throwaway cluster of real processes on this machine.
type Cluster struct {
	Out func(format string, args ...any) error // says something to the user, at once
	Set []string                               // key=value, for every broker

	dir      string
	nodes    []process
	finished chan process // those that ended
}

// process is one of its processes.
type process struct {
	id                int
	kafka, node, http string
	cmd               *exec.Cmd
	log               string
	err               error
}

const (
	startTime = 30 * time.Second
	stopTime  = 20 * time.Second
	pollEvery = 50 * time.Millisecond
)

// Ports lie between those of one broker and those of the next.
const Ports = 100

// Run runs count brokers, the first at the given port, until ctx ends or all of them have ended.
func (d *Cluster) Run(ctx context.Context, count, port int) (err error) {
	d.finished = make(chan process, count)
	if d.dir, err = os.MkdirTemp("", "klamm-dev-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	at := func(p int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p)) }
	for i := range count {
		p := port + Ports*i
		d.nodes = append(d.nodes, process{id: i + 1, kafka: at(p), node: at(p + 1), http: at(p + 2), log: filepath.Join(d.dir, fmt.Sprintf("%d.log", i+1))})
	}
	processes, stop := context.WithCancel(context.Background())
	defer d.wait()
	defer stop()
	if err := d.start(processes); err != nil {
		return err
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	if err := d.welcome(); err != nil {
		return err
	}
	for left := count; ; left-- {
		select {
		case <-ctx.Done():
			return nil
		case n := <-d.finished:
			if left == 1 {
				d.finished <- n // wait counts it
				return d.failure(&n)
			}
			// The others are a cluster still, and to see what they do without it may be what it was ended for.
			d.nodes[n.id-1].cmd = nil
			if err := d.Out("  broker %d ended (%s): %d of %d go on\n", n.id, endOf(n.err), left-1, count); err != nil {
				return err
			}
		}
	}
}

func endOf(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// start starts every process.
func (d *Cluster) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var join []string
	for i := range d.nodes {
		join = append(join, d.nodes[i].node)
	}
	for i := range d.nodes {
		n := &d.nodes[i]
		log, err := os.Create(n.log)
		if err != nil {
			return err
		}
		args := []string{
			"server", "--data", filepath.Join(d.dir, strconv.Itoa(n.id)), "--listen", n.kafka, "--node-listen", n.node, "--http-listen", n.http,
			"--join", strings.Join(join, ","),
		}
		for _, kv := range d.Set {
			args = append(args, "-X", kv)
		}
		n.cmd = exec.CommandContext(ctx, self, args...)
		n.cmd.Stdout, n.cmd.Stderr = log, log
		n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
		n.cmd.WaitDelay = stopTime
		// Ctrl-C on the terminal reaches the whole group: the processes are ended by us, in order.
		n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = n.cmd.Start()
		if closeErr := log.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			n.cmd = nil
			return fmt.Errorf("starting broker %d: %w", n.id, err)
		}
		go func() {
			done := *n
			done.err = n.cmd.Wait()
			d.finished <- done
		}()
	}
	return nil
}

// wait returns when every process that was started has ended.
func (d *Cluster) wait() {
	for i := range d.nodes {
		if d.nodes[i].cmd != nil {
			<-d.finished
		}
	}
}

// ready waits until every broker says that it is.
func (d *Cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for i := range d.nodes {
		for !isReady(ctx, d.nodes[i].http) {
			select {
			case <-tick.C:
			case n := <-d.finished:
				d.finished <- n
				return d.failure(&n)
			case <-ctx.Done():
				return d.failure(&d.nodes[i])
			}
		}
	}
	return nil
}

func isReady(ctx context.Context, addr string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // the status says it all
	return resp.StatusCode == http.StatusOK
}

// failure shows the last of what a broker said.
func (d *Cluster) failure(n *process) error {
	const lines = 5
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err
	}
	said := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	said = said[max(0, len(said)-lines):]
	return fmt.Errorf("broker %d does not run: %s: %w", n.id, bytes.Join(said, []byte("\n")), cmp.Or(n.err, errSilent))
}

var errSilent = errors.New("it is not ready in time")

// welcome says what to type next.
func (d *Cluster) welcome() error {
	var all []string
	for i := range d.nodes {
		all = append(all, d.nodes[i].kafka)
	}
	b := ""
	if all[0] != "127.0.0.1:9092" {
		b = " -b " + all[0]
	}
	return d.Out("\n  A cluster of %d is ready. In another terminal:\n\n    klamm topic create orders --partitions 6%s\n    klamm cluster status%s\n\n"+
		"  Kafka clients: %s\n  health and metrics: http://%s    data, gone at the end: %s    stop: Ctrl-C\n\n",
		len(d.nodes), b, b, strings.Join(all, ","), d.nodes[0].http, d.dir)
}
