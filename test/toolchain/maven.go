package toolchain

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Jars is a folder with the jars that the pom asks for, all they depend on included. name is the folder's in the cache; a name without the
// pom's fingerprint must hold every version itself.
func Jars(ctx context.Context, name, pom string, properties ...string) (string, error) {
	return Folder(ctx, name, func(ctx context.Context, dir string) error {
		args := []string{"-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + dir}
		for _, p := range properties {
			args = append(args, "-D"+p)
		}
		return run(ctx, "", nil, "mvn", args...)
	})
}

// Classes compiles a folder's Java sources against the jars in classpath, once per change of either, and returns the folder of classes.
func Classes(ctx context.Context, name, sources, classpath string) (string, error) {
	files, err := filepath.Glob(filepath.Join(sources, "*.java"))
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", errors.New("no Java sources in " + sources)
	}
	print, err := Fingerprint(files...)
	if err != nil {
		return "", err
	}
	return Folder(ctx, name+"-"+print, func(ctx context.Context, dir string) error {
		return run(ctx, "", nil, "javac", append([]string{"-nowarn", "-d", dir, "-cp", classpath}, files...)...)
	})
}

// ClassPath joins folders of jars (each as DIR/*) and of classes into one -cp argument.
func ClassPath(parts ...string) string { return strings.Join(parts, string(os.PathListSeparator)) }
