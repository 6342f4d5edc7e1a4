package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// TestGeneratedFilesAreCurrent runs the generator in memory: what stands in internal/wire must be what the definitions give.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	const wire = "../internal/wire"
	dir := t.TempDir()
	if err := run("defs", dir); err != nil {
		t.Fatal(err)
	}
	want := names(t, dir)
	if have := names(t, wire); strings.Join(have, " ") != strings.Join(want, " ") {
		t.Errorf("internal/wire has %v, want %v: run make gen", have, want)
	}
	for _, name := range want {
		a, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(wire, name)); err != nil || string(a) != string(b) {
			t.Errorf("internal/wire/%s is not what its definition gives: run make gen (%v)", name, err)
		}
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		out = append(out, filepath.Base(p))
	}
	return out
}

// TestGolden shows what each construct of the format becomes. Run with -update after a change, and read the diff.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/example.def")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parse("000_example.def", string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := check([]*File{f}); err != nil {
		t.Fatal(err)
	}
	got, err := emitFile(f)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/example.golden"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != string(got) {
		t.Errorf("%s differs from what is generated now (%v):\n%s", golden, err, got)
	}
}

// TestStaleFilesGo: a definition that is removed takes its Go file along.
func TestStaleFilesGo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"api_old_gen.go", "decoder.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package wire\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := run("defs", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "api_old_gen.go")); !os.IsNotExist(err) {
		t.Errorf("the stale file is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "decoder.go")); err != nil {
		t.Errorf("a file written by hand is gone: %v", err)
	}
}

// TestMistakes has the mistakes that people make in definitions, and what they are told.
func TestMistakes(t *testing.T) {
	const head = "api 1 A\nversions 0-3\nflexible 2+\n\n"
	const tail = "\nresponse\n  Y  int8  0+\n"
	for _, tc := range []struct{ name, text, want string }{
		{"unknown section", "apis 1 A\n", `unknown section "apis"`},
		{"api without key", "api A\n", "want one line: api <key> <Name>"},
		{"range before api", "versions 0-3\n", `"versions" stands between api and request`},
		{"request without api", "request\n", `needs an api line above it`},
		{"bad range", "api 1 A\nversions 3-1\n", `"3-1" is not a version range`},
		{"short field", head + "request\n  X  int8\n" + tail, "want: <Name> <type> <versions>"},
		{"unknown option", head + "request\n  X  int8  0+  nil\n" + tail, `unknown option "nil"`},
		{"unknown type", head + "request\n  X  int7  0+\n" + tail, "neither a type nor a struct"},
		{"odd indentation", head + "request\n   X  int8  0+\n" + tail, "unexpected indentation of 3"},
		{"too deep", head + "request\n      X  int8  0+\n" + tail, "indented too far"},
		{"fields of a scalar", head + "request\n  X  int8  0+\n    Y  int8  0+\n" + tail, "cannot have fields"},
		{"no response", head + "request\n  X  int8  0+\n", "want one request and one response"},
		{"twice", head + "request\n  X  int8  0+\n  X  int8  0+\n" + tail, "field X is defined twice"},
		{"never", head + "request\n  X  int8  7+\n" + tail, "field X occurs in no version"},
		{"null number", head + "request\n  X  int8  0+  null\n" + tail, "a int8 cannot be null"},
		{"early tag", head + "request\n  X  int8  0+  tag 0\n" + tail, "tagged field X in a version that is not flexible"},
		{"same tag", head + "request\n  X  int8  2+  tag 0\n  Z  int8  2+  tag 0\n" + tail, "tag 0 is used twice"},
		{"default of null", head + "request\n  X  string  0+  null default x\n" + tail, "only plain values have defaults"},
		{"unused struct", head + "request\n  X  int8  0+\n\nstruct S\n  Z  int8  0+\n" + tail, "is not used in any version"},
		{"record without type", "record R 0\n", "R"},
		{"data without versions", "data D\n", "want: data"},
	} {
		f, err := parse("001_a.def", tc.text)
		if err == nil {
			err = check([]*File{f})
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestMistakesAcrossFiles: numbers and names are unique in all of the definitions.
func TestMistakesAcrossFiles(t *testing.T) {
	api := "api 1 A\nversions 0-0\n\nrequest\n  X  int8  0+\n\nresponse\n  Y  int8  0+\n"
	for _, tc := range []struct{ first, second, want string }{
		{api, strings.Replace(api, "1 A", "1 B", 1), "key 1 is already in 1.def"},
		{api, strings.Replace(api, "1 A", "2 A", 1), "ARequest is already defined in 1.def"},
		{"record 5 R 0\n  X  int8  0\n", "record 5 S 0\n  X  int8  0\n", "record type 5 is already in 1.def"},
	} {
		a, errA := parse("1.def", tc.first)
		b, errB := parse("2.def", tc.second)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if err := check([]*File{a, b}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}
