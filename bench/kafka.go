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
		k, err = kafkaref.TryStartJVM(ctx, dir, kafkaJVM(), kafkaProperties()...)
		return err
	})
	if err != nil {
		return nil, err
	}
	b := &broker{name: "kafka", dir: k.Data, ready: k.Ready, made: map[string]bool{}}
	b.join([]*node{kafkaNode(k)})
	return b, b.connect()
}

func kafkaNode(k *kafkaref.Broker) *node {
	return &node{addr: k.Addr, pid: k.PID(), stop: func(bool) error {
		k.Kill()
		return nil
	}}
}

// startKafkaCluster runs three nodes, each broker and controller, as Kafka's own quick start for clusters does.
func startKafkaCluster(dir string) (*broker, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err := kafkaref.Jars(ctx); err != nil {
		return nil, err
	}
	b := &broker{name: "kafka", dir: dir, made: map[string]bool{}}
	o := kafkaref.ClusterOptions{JVM: kafkaJVM(), Around: func(start func() error) error { return start() }}
	ks, err := o.TryStart(ctx, dir, clusterNodes, kafkaProperties()...)
	if err != nil {
		return nil, err
	}
	nodes := []*node{}
	for _, k := range ks {
		b.ready = max(b.ready, k.Ready)
		nodes = append(nodes, kafkaNode(k))
	}
	b.join(nodes)
	return b, b.connect()
}

func kafkaJVM() []string {
	return []string{"-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"}
}

func kafkaProperties() []string {
	return []string{retainSoon, "log.initial.task.delay.ms=500"}
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
