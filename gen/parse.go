package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// parser reads one definition file line by line. Indentation, two spaces a level, nests fields in structs.
type parser struct {
	file *File
	line int
	msg  *Message
	// stack holds the struct whose fields stand at each indentation: stack[0] at two spaces.
	stack   []*Struct
	last    *Field // the field above, which an indented line opens as a struct
	pending []string
	api     *API
}

func parse(rel, text string) (*File, error) {
	p := &parser{file: &File{Path: rel}}
	name := strings.TrimSuffix(path.Base(rel), ".def")
	if dir := path.Dir(rel); dir != "." {
		p.file.GoFile = path.Base(dir) + "_" + name + "_gen.go"
	} else {
		_, rest, _ := strings.Cut(name, "_")
		p.file.GoFile = "api_" + rest + "_gen.go"
	}
	for _, line := range strings.Split(text, "\n") {
		p.line++
		if err := p.parseLine(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", rel, p.line, err)
		}
	}
	for _, m := range p.file.Messages {
		if err := resolve(m); err != nil {
			return nil, fmt.Errorf("%s: %w", rel, err)
		}
	}
	return p.file, nil
}

func (p *parser) parseLine(line string) error {
	body, comment := splitComment(line)
	trimmed := strings.TrimSpace(body)
	if trimmed == "" {
		switch {
		case comment != "":
			p.pending = append(p.pending, comment)
		case p.file.Doc == nil && p.file.API == nil && len(p.file.Messages) == 0:
			p.file.Doc, p.pending = p.pending, nil
		default:
			p.pending = nil
		}
		return nil
	}
	indent := len(body) - len(strings.TrimLeft(body, " "))
	words := strings.Fields(trimmed)
	if indent == 0 {
		return p.top(words)
	}
	if indent%2 != 0 || p.msg == nil {
		return fmt.Errorf("unexpected indentation of %d", indent)
	}
	return p.field(indent/2, words, comment)
}

func splitComment(line string) (body, comment string) {
	if c, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
		return "", strings.TrimSpace(c)
	}
	body, comment, _ = strings.Cut(line, " # ")
	return strings.TrimRight(body, " \t\r"), strings.TrimSpace(comment)
}

// top handles a line that starts a section.
func (p *parser) top(words []string) error {
	doc := p.pending
	p.pending, p.last = nil, nil
	switch words[0] {
	case "api":
		return p.startAPI(words)
	case "versions", "flexible":
		return p.apiRange(words)
	case "request", "response":
		if p.api == nil || len(words) != 1 {
			return fmt.Errorf("%q needs an api line above it and nothing behind it", words[0])
		}
		m := &Message{Kind: KindRequest, Key: p.api.Key, Versions: p.api.Versions, Flexible: p.api.Flexible, Doc: doc}
		name := p.api.Name + "Request"
		if words[0] == "response" {
			m.Kind, name = KindResponse, p.api.Name+"Response"
		}
		p.start(m, name)
		return nil
	case "record", "data":
		return p.startData(words, doc)
	case "struct":
		if p.msg == nil || len(words) != 2 {
			return fmt.Errorf("struct needs a name, below a message")
		}
		s := &Struct{Go: p.msg.Root.Go + words[1], Doc: doc, Within: none(), shared: true, line: p.line}
		if p.msg.named[words[1]] != nil {
			return fmt.Errorf("struct %s is defined twice", words[1])
		}
		p.msg.named[words[1]] = s
		p.msg.Structs = append(p.msg.Structs, s)
		p.stack = []*Struct{s}
		return nil
	}
	return fmt.Errorf("unknown section %q", words[0])
}

func (p *parser) start(m *Message, goName string) {
	m.Root = &Struct{Go: goName, Doc: m.Doc, Within: m.Versions, line: p.line}
	m.named = map[string]*Struct{}
	p.msg, p.stack = m, []*Struct{m.Root}
	p.file.Messages = append(p.file.Messages, m)
}

func (p *parser) startAPI(words []string) error {
	if len(words) != 3 || p.api != nil {
		return fmt.Errorf("want one line: api <key> <Name>")
	}
	key, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	p.api = &API{Key: key, Name: words[2], Flexible: none()}
	p.file.API = p.api
	return nil
}

func (p *parser) apiRange(words []string) error {
	if len(words) != 2 || p.api == nil || p.msg != nil {
		return fmt.Errorf("%q stands between api and request, with a range", words[0])
	}
	r, err := parseRange(words[1])
	if err != nil {
		return err
	}
	if words[0] == "versions" {
		p.api.Versions = r
	} else {
		p.api.Flexible = r
	}
	return nil
}

// startData handles "record <type> <Name> <versions> [flexible <versions>]" and the same for data, without a type.
func (p *parser) startData(words []string, doc []string) error {
	m := &Message{Kind: KindData, Key: -1, Doc: doc, Flexible: none()}
	rest := words[1:]
	var err error
	if words[0] == "record" && len(rest) > 0 {
		m.Kind = KindRecord
		if m.Key, err = strconv.Atoi(rest[0]); err != nil {
			return err
		}
		rest = rest[1:]
	}
	if len(rest) != 2 && (len(rest) != 4 || rest[2] != "flexible") {
		return fmt.Errorf("want: %s ... <Name> <versions> [flexible <versions>]", words[0])
	}
	if m.Versions, err = parseRange(rest[1]); err != nil {
		return err
	}
	if len(rest) == 4 {
		if m.Flexible, err = parseRange(rest[3]); err != nil {
			return err
		}
	}
	p.start(m, rest[0])
	return nil
}

// field handles "<Name> <type> <versions> [null [versions]] [tag n] [default x]".
func (p *parser) field(level int, words []string, comment string) error {
	if len(words) < 3 {
		return fmt.Errorf("want: <Name> <type> <versions>")
	}
	switch {
	case level == len(p.stack)+1 && p.last != nil:
		if err := p.descend(); err != nil {
			return err
		}
	case level > len(p.stack):
		return fmt.Errorf("indented too far")
	default:
		p.stack = p.stack[:level]
	}
	f := &Field{Name: words[0], Tag: -1, Null: none(), Doc: comment, line: p.line}
	f.Type, f.Array = strings.CutPrefix(words[1], "[]")
	within, err := parseRange(words[2])
	if err != nil {
		return err
	}
	f.Within = within
	if err := f.options(words[3:]); err != nil {
		return err
	}
	into := p.stack[len(p.stack)-1]
	into.Fields = append(into.Fields, f)
	p.last = f
	return nil
}

// descend opens the field above as a struct, whose first field is on this line.
func (p *parser) descend() error {
	f := p.last
	if _, ok := primitiveOf(f.Type); ok {
		return fmt.Errorf("%s is a %s and cannot have fields", f.Name, f.Type)
	}
	outer := p.stack[len(p.stack)-1]
	f.Sub = &Struct{Go: outer.Go + f.Type, Parent: outer.Go + "." + f.Name, Within: none(), line: f.line}
	p.msg.Structs = append(p.msg.Structs, f.Sub)
	p.stack = append(p.stack, f.Sub)
	return nil
}

func (f *Field) options(words []string) error {
	for i := 0; i < len(words); i++ {
		arg := ""
		if i+1 < len(words) {
			arg = words[i+1]
		}
		switch words[i] {
		case "null":
			f.Null = Range{0, open}
			if r, err := parseRange(arg); err == nil {
				f.Null = r
				i++
			}
		case "tag":
			n, err := strconv.Atoi(arg)
			if err != nil {
				return fmt.Errorf("tag needs a number, not %q", arg)
			}
			f.Tag = n
			i++
		case "default":
			f.Default = arg
			i++
		default:
			return fmt.Errorf("unknown option %q", words[i])
		}
	}
	return nil
}

// resolve finds the structs that fields refer to by name, and settles in which versions each struct can occur.
func resolve(m *Message) error {
	for _, s := range append([]*Struct{m.Root}, m.Structs...) {
		for _, f := range s.Fields {
			if _, ok := primitiveOf(f.Type); ok || f.Sub != nil {
				continue
			}
			if f.Sub = m.named[f.Type]; f.Sub == nil {
				return fmt.Errorf("line %d: %s is neither a type nor a struct of %s", f.line, f.Type, m.Root.Go)
			}
		}
	}
	settle(m.Root, m.Versions)
	for _, s := range m.Structs {
		if s.Within.empty() {
			return fmt.Errorf("line %d: struct %s is not used in any version", s.line, s.Go)
		}
	}
	return nil
}

func settle(s *Struct, within Range) {
	for _, f := range s.Fields {
		r := f.Within.and(within)
		if f.Sub == nil || r.empty() {
			continue
		}
		if f.Sub.Within.empty() {
			f.Sub.Within = r
		} else {
			f.Sub.Within = Range{min(f.Sub.Within.Lo, r.Lo), max(f.Sub.Within.Hi, r.Hi)}
		}
		settle(f.Sub, r)
	}
}
