// Command install fetches all that the interop tests drive, so that the tests themselves need no network: run it once, or let each test fetch
// what it needs when it first runs. What apt must install (kcat, a JDK, Maven, Node.js) is .ci/install's part.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/klamm/klamm/test/interop/clients"
	"github.com/klamm/klamm/test/kafkaref"
)

func main() {
	i := &installer{}
	i.fetch("Apache Kafka "+kafkaref.Version, kafkaref.Fetch)
	for _, c := range clients.All() {
		i.fetch(c.Name+" "+c.Version, c.Fetch)
	}
	i.fetch("semantics", func(ctx context.Context) error {
		_, err := clients.Semantics(ctx)
		return err
	})
	i.fetch("clients through failures", func(ctx context.Context) error {
		_, err := clients.Ride(ctx)
		return err
	})
	i.fetch("Kafka Streams "+clients.StreamsVersion, func(ctx context.Context) error {
		_, err := clients.Streams(ctx)
		return err
	})
	i.fetch("PySpark "+clients.SparkVersion, func(ctx context.Context) error {
		_, _, err := clients.Spark(ctx)
		return err
	})
	if i.failed {
		os.Exit(1)
	}
}

// installer goes on after a failure, so that one run says everything that is wrong.
type installer struct{ failed bool }

func (i *installer) fetch(what string, fetch func(context.Context) error) {
	begun := time.Now()
	if err := fetch(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		i.failed = true
		return
	}
	fmt.Printf("%-40s %6.1f s\n", what, time.Since(begun).Seconds())
}
