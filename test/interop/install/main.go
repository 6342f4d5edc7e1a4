// Command install fetches every client that the interop tests drive, so that the tests themselves need no network: run it once, or let each
// test fetch what it needs when it first runs. What apt must install (kcat, a JDK, Maven, Node.js) is .ci/install's part.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/klamm/klamm/test/interop/clients"
)

func main() {
	failed := false
	for _, c := range clients.All() {
		begun := time.Now()
		if err := c.Fetch(context.Background()); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
			failed = true
			continue
		}
		fmt.Printf("%-24s %s (%.1f s)\n", c.Name, c.Version, time.Since(begun).Seconds())
	}
	if failed {
		os.Exit(1)
	}
}
