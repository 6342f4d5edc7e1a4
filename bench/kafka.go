package main

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klamm/klamm/test/kafkaref"
)

// startKafka runs Apache Kafka from Maven, pinned as Klamm is, with its defaults and the heap that performance.md's figures were taken with.
func startKafka(dir string) (*broker, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err := kafkaref.Jars(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var k *kafkaref.Broker
	err := onCPU(brokerCPU, func() (err error) {
		k, err = kafkaref.TryStartJVM(ctx, dir, []string{"-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"},
			"log.retention.check.interval.ms=500", "log.initial.task.delay.ms=500")
		return err
	})
	if err != nil {
		return nil, err
	}
	b := &broker{name: "kafka", addr: k.Addr, pid: k.PID(), dir: k.Data, ready: k.Ready, made: map[string]bool{}}
	b.stop = func(bool) error {
		k.Kill()
		return nil
	}
	return b, b.connect()
}

// onCPU runs f on a thread that is bound to one processor: processes it starts inherit that.
func onCPU(cpu string, f func() error) error {
	n, err := strconv.Atoi(cpu)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(n)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return f()
}
