package toolchain

import (
	"context"
	"os"
	"path/filepath"
)

// NodeModules is a folder whose node_modules holds what the lock file in dir pins. @confluentinc/kafka-javascript is built from the C
// sources in its package, linked with the system's OpenSSL and zstd: its install script would fetch a ready binary otherwise. The headers
// of the installed Node.js serve for that.
func NodeModules(ctx context.Context, name, dir string) (string, error) {
	print, err := Fingerprint(filepath.Join(dir, "package.json"), filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", err
	}
	return Folder(ctx, name+"-"+print, func(ctx context.Context, to string) error {
		if err := copyFiles(dir, to, "package.json", "package-lock.json"); err != nil {
			return err
		}
		environ := []string{"CKJS_LINKING=dynamic", "npm_config_build_from_source=true"}
		if _, err := os.Stat("/usr/include/node/node_api.h"); err == nil {
			environ = append(environ, "npm_config_nodedir=/usr")
		}
		return run(ctx, to, environ, "npm", "ci", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved")
	})
}
