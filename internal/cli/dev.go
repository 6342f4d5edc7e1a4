package cli

import (
	"bytes"
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

	"github.com/spf13/cobra"
)

// devCluster is a throwaway cluster of real processes on this machine.
type devCluster struct {
	a        *app
	dir      string
	nodes    []devNode
	finished chan devNode // those that ended
}

// devNode is one of its processes.
type devNode struct {
	id                int
	kafka, node, http string
	cmd               *exec.Cmd
	log               string
	err               error
}

const (
	devStart = 30 * time.Second
	devStop  = 20 * time.Second
	devPoll  = 50 * time.Millisecond
	devPorts = 100 // between the ports of one broker and those of the next
)

func (a *app) devCommand() *cobra.Command {
	var count, port int
	c := &cobra.Command{
		Use:   "dev",
		Short: "run a throwaway cluster of real brokers; Ctrl-C ends it and deletes its data",
		Long: "Run a cluster of broker processes on this machine until Ctrl-C, and delete their data then. The first takes clients on --port, other nodes on the\n" +
			"port behind it and HTTP on the one behind that; each further broker has ports that are 100 higher.",
		Example: "  klamm dev\n  klamm dev -n 5 --port 19092\n  klamm dev -n 1 -X num.partitions=3",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if count < 1 || port < 1 || port+devPorts*(count-1)+2 > 65535 {
				return usage("%d brokers from port %d on: there are no such ports", count, port)
			}
			return a.runDev(c.Context(), count, port)
		},
	}
	c.Flags().IntVarP(&count, "nodes", "n", 3, "how many brokers")
	c.Flags().IntVar(&port, "port", 9092, "port of the first broker for Kafka clients")
	return c
}

func (a *app) runDev(ctx context.Context, count, port int) (err error) {
	d := &devCluster{a: a, finished: make(chan devNode, count)}
	if d.dir, err = os.MkdirTemp("", "klamm-dev-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	at := func(p int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p)) }
	for i := range count {
		p := port + devPorts*i
		d.nodes = append(d.nodes, devNode{id: i + 1, kafka: at(p), node: at(p + 1), http: at(p + 2), log: filepath.Join(d.dir, fmt.Sprintf("%d.log", i+1))})
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
			d.a.printf("  broker %d ended (%s): %d of %d go on\n", n.id, endOf(n.err), left-1, count)
			if err := d.a.out.Flush(); err != nil {
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
func (d *devCluster) start(ctx context.Context) error {
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
		for _, kv := range d.a.flags.set {
			args = append(args, "-X", kv)
		}
		n.cmd = exec.CommandContext(ctx, self, args...)
		n.cmd.Stdout, n.cmd.Stderr = log, log
		n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
		n.cmd.WaitDelay = devStop
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
func (d *devCluster) wait() {
	for i := range d.nodes {
		if d.nodes[i].cmd != nil {
			<-d.finished
		}
	}
}

// ready waits until every broker says that it is.
func (d *devCluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, devStart)
	defer cancel()
	tick := time.NewTicker(devPoll)
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
func (d *devCluster) failure(n *devNode) error {
	const lines = 5
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err
	}
	said := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	said = said[max(0, len(said)-lines):]
	return &fault{
		what: fmt.Sprintf("broker %d does not run: %s", n.id, bytes.Join(said, []byte("\n"))), why: n.err,
		next: "if a port is taken: klamm dev --port PORT", code: ExitError,
	}
}

// welcome says what to type next.
func (d *devCluster) welcome() error {
	var all []string
	for i := range d.nodes {
		all = append(all, d.nodes[i].kafka)
	}
	b := ""
	if all[0] != "127.0.0.1:9092" {
		b = " -b " + all[0]
	}
	d.a.printf("\n  A cluster of %d is ready. In another terminal:\n\n    klamm topic create orders --partitions 6%s\n    klamm cluster status%s\n\n"+
		"  Kafka clients: %s\n  health and metrics: http://%s    data, gone at the end: %s    stop: Ctrl-C\n\n",
		len(d.nodes), b, b, strings.Join(all, ","), d.nodes[0].http, d.dir)
	return d.a.out.Flush()
}
