package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build compiles the simulation on the runtime that repeats itself.
func build(ctx context.Context, dir string, tags []string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	overlay, err := writeOverlay(dir, runtimeEdits)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "sim.test")
	c := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-overlay", overlay, "-tags", strings.Join(tags, ","), "-o", binary, "./sim/cluster")
	c.Dir = strings.TrimSpace(string(root))
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("building the simulation: %w", err)
	}
	return binary, nil
}
