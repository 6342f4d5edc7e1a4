package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// connLoad holds idle connections open while a few others send small requests at a fixed rate.
type connLoad struct {
	Addr   string
	Idle   int
	Active produceLoad
	// Pid is the broker's process: its memory is read while the connections stand.
	Pid int
}

// perAddress is how many connections come from one loopback address: brokers limit connections by address.
const perAddress = 500

func runConns(l connLoad) (loadResult, error) {
	var res loadResult
	before, err := rssMB(l.Pid)
	if err != nil {
		return res, err
	}
	conns := make([]net.Conn, 0, l.Idle)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range l.Idle {
		from := net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/perAddress))}
		d := net.Dialer{LocalAddr: &from, Timeout: time.Minute}
		c, err := d.Dial("tcp", l.Addr)
		if err != nil {
			return res, fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, c)
		if err := greet(c); err != nil {
			return res, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	after, err := rssMB(l.Pid)
	if err != nil {
		return res, err
	}
	res, err = runProduce(l.Active)
	res.RSSPerConnKB = (after - before) * 1024 / float64(max(l.Idle, 1))
	return res, err
}

// greet sends ApiVersions and reads the answer, so that the connection has been used once like a client's.
func greet(c net.Conn) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 0
	if _, err := c.Write(frame(req)); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	var buf []byte
	_, err := readFrame(bufio.NewReaderSize(c, 512), &buf)
	if os.IsTimeout(err) {
		return fmt.Errorf("no answer to ApiVersions: %w", err)
	}
	return err
}
