package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// profileSeconds is less than a row's run takes.
const profileSeconds = 2

// profile begins to take a CPU profile of every node into dir and returns how to wait for it. A profile that cannot be had is said, and no
// reason to end the session.
func (b *broker) profile(dir, row string) (wait func()) {
	var wg sync.WaitGroup
	for i, n := range b.nodes {
		wg.Go(func() {
			name := fmt.Sprintf("%s-%d.pprof", strings.NewReplacer(" ", "-", "/", "-", ",", "").Replace(row), i+1)
			if err := saveProfile(n.http, filepath.Join(dir, name)); err != nil {
				fmt.Fprintln(os.Stderr, "bench: no profile:", err)
			}
		})
	}
	return wg.Wait
}

func saveProfile(addr, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", addr, profileSeconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", addr, resp.Status)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
