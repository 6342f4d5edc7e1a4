package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/klamm/klamm/"

// root is the module's root, seen from this package's folder.
const root = "../.."

func TestRoomsImportOnlyWhatTheTableAllows(t *testing.T) {
	table := rooms()
	seen := map[string]bool{}
	checked := 0
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if p != root && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules" || hasFile(p, "go.mod") && p != root) {
				return filepath.SkipDir
			}
			return nil
		}
		// Tests may build what they need from below and beside; the house is what ships.
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		room := filepath.ToSlash(rel)
		allowed, ok := lookUp(table, room)
		if !ok {
			if !seen[room] {
				t.Errorf("%s is not in the table of internal/archtest/rooms.go: add it with what it may import", room)
			}
			seen[room] = true
			return nil
		}
		seen[room] = true
		checked++
		checkFile(t, p, room, allowed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 50 {
		t.Fatalf("looked at %d files only: is root right?", checked)
	}
	for room := range table {
		if !strings.HasSuffix(room, "/...") && !seen[room] {
			t.Errorf("%s stands in the table but not in the tree", room)
		}
	}
}

func hasFile(dir, name string) bool {
	m, err := filepath.Glob(filepath.Join(dir, name))
	return err == nil && len(m) > 0
}

func lookUp(table map[string][]string, room string) ([]string, bool) {
	if a, ok := table[room]; ok {
		return a, true
	}
	for pattern, a := range table {
		if strings.HasSuffix(pattern, "/...") && matches(pattern, room) {
			return a, true
		}
	}
	return nil, false
}

func matches(pattern, room string) bool {
	base, tree := strings.CutSuffix(pattern, "/...")
	return room == base || tree && strings.HasPrefix(room, base+"/")
}

func checkFile(t *testing.T, file, room string, allowed []string) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
next:
	for _, imp := range f.Imports {
		name, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		inner, ours := strings.CutPrefix(name, module)
		if !ours {
			continue
		}
		for _, pattern := range allowed {
			if matches(pattern, inner) {
				continue next
			}
		}
		t.Errorf("%s: %s may not import %s. Let it declare a small interface and node plug it in, or move the code; the table is internal/archtest/rooms.go",
			path.Join(room, filepath.Base(file)), room, inner)
	}
}
