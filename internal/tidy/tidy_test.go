package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// Limits of the house. Old excess stands in ratchets: it may shrink and must never grow.
const (
	maxFileLines    = 600
	maxFuncLines    = 70
	maxPackageLines = 6000
	maxParams       = 5
	maxFields       = 20
)

// source is one parsed Go file of the house.
type source struct {
	path string // below the module's root, with slashes
	text []byte
	file *ast.File
	set  *token.FileSet
}

func (s *source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s *source) generated() bool { return ast.IsGenerated(s.file) }

func (s *source) lines(n ast.Node) int {
	return s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
}

func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

func sources(t *testing.T) []*source {
	t.Helper()
	var out []*source
	for _, dir := range []string{"cmd", "gen", "internal", "klammtest", "bench", "test"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(p, ".go") {
				if err == nil && e.IsDir() && (e.Name() == "node_modules" || strings.HasPrefix(e.Name(), ".")) {
					return filepath.SkipDir
				}
				return err
			}
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			s := &source{text: text, set: token.NewFileSet()}
			if s.path, err = filepath.Rel(root, p); err != nil {
				return err
			}
			s.path = filepath.ToSlash(s.path)
			s.file, err = parser.ParseFile(s.set, s.path, text, parser.ParseComments)
			out = append(out, s)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 100 {
		t.Fatalf("found %d files only: is root right?", len(out))
	}
	return out
}

// excess reports a size over its limit, unless the ratchet knows it at this size or more.
func excess(t *testing.T, what string, size, limit int, advice string) {
	t.Helper()
	allowed, known := ratchets()[what]
	switch {
	case size <= limit && known:
		t.Errorf("%s is within its limit of %d now: take it out of the ratchets", what, limit)
	case size > limit && !known:
		t.Errorf("%s has %d, limit %d: %s", what, size, limit, advice)
	case known && size > allowed:
		t.Errorf("%s grew from %d to %d (limit %d): %s", what, allowed, size, limit, advice)
	}
}

func TestFilesAndPackagesStaySmall(t *testing.T) {
	packages := map[string]int{}
	for _, s := range sources(t) {
		if s.generated() || s.test() {
			continue
		}
		n := bytes.Count(s.text, []byte("\n"))
		packages[filepath.Dir(s.path)] += n
		excess(t, s.path, n, maxFileLines, "split it by idea, not by size")
	}
	for dir, n := range packages {
		excess(t, dir, n, maxPackageLines, "split the package by idea")
	}
}

func TestFunctionsStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated() || s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := s.path + ":" + fn.Name.Name
			excess(t, name, s.lines(fn), maxFuncLines, "name its steps and make them functions; tables of data may be split by subject")
			params := 0
			for _, p := range fn.Type.Params.List {
				params += max(1, len(p.Names))
			}
			excess(t, name+" parameters", params, maxParams, "put what belongs together into a struct")
		}
	}
}

func TestStructsStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated() || s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			ts, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				fields := 0
				for _, f := range st.Fields.List {
					fields += max(1, len(f.Names))
				}
				excess(t, s.path+":"+ts.Name.Name+" fields", fields, maxFields, "group fields that change together")
			}
			return true
		})
	}
}

func TestRoomsHaveACard(t *testing.T) {
	rooms := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "internal/") && !s.test() {
			rooms[filepath.Dir(s.path)] = true
		}
	}
	for dir := range rooms {
		b, err := os.ReadFile(filepath.Join(root, dir, "doc.go"))
		if err != nil {
			t.Errorf("%s has no doc.go: write its room card (see internal/clock/doc.go)", dir)
			continue
		}
		for _, part := range []string{"// Package ", "// Owns:", "// Never:", "// Start at:"} {
			if !bytes.Contains(b, []byte(part)) {
				t.Errorf("%s/doc.go has no %q: the room card says what the room owns, never does, and where to start", dir, part)
			}
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated() || s.test() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && receiverExported(d) {
					t.Errorf("%s: %s has no comment: say what it does, its units and its errors", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(t, s, d)
			}
		}
	}
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if ix, ok := typ.(*ast.IndexExpr); ok {
		typ = ix.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// undocumented: a comment on a group or behind a line counts for names, types need their own.
func undocumented(t *testing.T, s *source, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && d.Doc == nil {
				t.Errorf("%s: type %s has no comment", s.at(spec), spec.Name.Name)
			}
		case *ast.ValueSpec:
			if spec.Names[0].IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
				t.Errorf("%s: %s has no comment", s.at(spec), spec.Names[0].Name)
			}
		}
	}
}

// TestNoHiddenState: package variables that can change, and init functions, make tests depend on each other.
func TestNoHiddenState(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated() || s.test() || strings.HasPrefix(s.path, "test/") {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: init runs behind everybody's back: call a constructor", s.at(d))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					mutable(t, s, d)
				}
			}
		}
	}
}

// fixed are the ways to begin a package variable that nobody changes afterwards.
func fixed() []string {
	return []string{"errors.New(", "fmt.Errorf(", "regexp.MustCompile(", "crc32.MakeTable(", "[...]", "&kerr.", "strings.NewReplacer(",
		"sync.Pool{"} // memory for reuse, without a meaning
}

func mutable(t *testing.T, s *source, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		if v.Names[0].Name == "_" || d.Doc != nil && strings.Contains(d.Doc.Text(), "go:embed") || hasDirective(d, "//go:embed") ||
			hasDirective(d, "package state") || hasDirective(d, "read-only") || s.path == "cmd/klamm/main.go" {
			continue
		}
		for _, x := range v.Values {
			text := string(s.text[s.set.Position(x.Pos()).Offset:s.set.Position(x.End()).Offset])
			if !slices.ContainsFunc(fixed(), func(p string) bool { return strings.HasPrefix(text, p) }) {
				t.Errorf("%s: package variable %s can change: make it a constant, a function, or a field", s.at(v), v.Names[0].Name)
			}
		}
		if len(v.Values) == 0 {
			t.Errorf("%s: package variable %s can change: make it a field", s.at(v), v.Names[0].Name)
		}
	}
}

func hasDirective(d *ast.GenDecl, text string) bool {
	if d.Doc == nil {
		return false
	}
	return slices.ContainsFunc(d.Doc.List, func(c *ast.Comment) bool { return strings.Contains(c.Text, text) })
}

func TestNoDrawers(t *testing.T) {
	banned := []string{"util", "utils", "helper", "helpers", "common", "base", "misc", "shared", "manager"}
	for _, s := range sources(t) {
		if slices.Contains(banned, s.file.Name.Name) {
			t.Errorf("%s: package %s is a drawer: name it after the idea it holds", s.path, s.file.Name.Name)
		}
		if name := strings.TrimSuffix(filepath.Base(s.path), ".go"); slices.Contains(banned, name) {
			t.Errorf("%s: name the file after the idea it holds", s.path)
		}
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "not " + "implemented", "for " + "now)", "\u2014"}
	for _, s := range sources(t) {
		for _, m := range marks {
			if i := bytes.Index(s.text, []byte(m)); i >= 0 {
				t.Errorf("%s:%d: %q: finish it, or open an issue and say what is missing", s.path, 1+bytes.Count(s.text[:i], []byte("\n")), m)
			}
		}
	}
}
