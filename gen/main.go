// Command gen writes internal/wire/*_gen.go from the message definitions in gen/defs (format: gen/README.md).
//
// Run it from the repository's root: go run ./gen
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	defs := flag.String("defs", "gen/defs", "folder of *.def files, read with its subfolders")
	out := flag.String("out", "internal/wire", "folder the Go files go to; other *_gen.go files there are deleted")
	flag.Parse()
	if err := run(*defs, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(defs, out string) error {
	files, err := readDefs(defs)
	if err != nil {
		return err
	}
	if err := check(files); err != nil {
		return err
	}
	written := map[string]bool{}
	for _, f := range files {
		src, err := emitFile(f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if err := writeIfChanged(filepath.Join(out, f.GoFile), src); err != nil {
			return err
		}
		written[f.GoFile] = true
	}
	src, err := emitRegistry(files)
	if err != nil {
		return err
	}
	if err := writeIfChanged(filepath.Join(out, registryFile), src); err != nil {
		return err
	}
	written[registryFile] = true
	return removeStale(out, written)
}

// readDefs parses every definition below dir, ordered by path.
func readDefs(dir string) ([]*File, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(path, ".def") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	var files []*File
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		f, err := parse(filepath.ToSlash(rel), string(text))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// writeIfChanged keeps the time stamps of files that would not change, so that builds stay cached.
func writeIfChanged(path string, src []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(src) {
		return nil
	}
	return os.WriteFile(path, src, 0o644)
}

func removeStale(dir string, keep map[string]bool) error {
	old, err := filepath.Glob(filepath.Join(dir, "*_gen.go"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if !keep[filepath.Base(path)] {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}
