package toolchain

import (
	"context"
	"path/filepath"
)

// Python is the interpreter of a virtual environment that holds what the requirements file pins.
func Python(ctx context.Context, name, requirements string) (string, error) {
	print, err := Fingerprint(requirements)
	if err != nil {
		return "", err
	}
	dir, err := Folder(ctx, name+"-"+print, func(ctx context.Context, dir string) error {
		if err := run(ctx, "", nil, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return run(ctx, "", nil, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input", "-r", requirements)
	})
	return filepath.Join(dir, "bin", "python"), err
}
