package toolchain

import (
	"context"
	"io/fs"
	"path/filepath"
)

// GoCommands is a folder with the built commands of the Go module in dir, which has a go.mod of its own so that what it needs stays out of
// Klamm's.
func GoCommands(ctx context.Context, name, dir string) (string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	print, err := Fingerprint(files...)
	if err != nil {
		return "", err
	}
	return Folder(ctx, name+"-"+print, func(ctx context.Context, to string) error {
		return run(ctx, dir, []string{"GOFLAGS=-mod=readonly", "CGO_ENABLED=0"}, "go", "build", "-o", to+string(filepath.Separator), "./...")
	})
}
