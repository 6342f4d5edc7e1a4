package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// setting is one key=value of a source, with the line it stands on (0 where there are no lines).
type setting struct {
	name, value string
	line        int
}

// parseProperties reads Java's properties format: '#' and '!' comments, '=', ':' or white space between key and value, continued
// lines, and the escapes \t \n \r \f \uXXXX. Unlike Java it reads UTF-8, and an escape it cannot read is an error instead of garbage.
func parseProperties(text string) ([]setting, error) {
	var out []setting
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line, first := strings.TrimLeft(lines[i], " \t\f"), i+1
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) {
			line = line[:len(line)-1]
			if i+1 == len(lines) {
				break
			}
			i++
			line += strings.TrimLeft(lines[i], " \t\f")
		}
		rawKey, rawValue := splitProperty(line)
		key, err := unescape(rawKey)
		if err == nil {
			var value string
			if value, err = unescape(rawValue); err == nil {
				out = append(out, setting{name: key, value: value, line: first})
			}
		}
		if err != nil {
			return nil, &SourceError{Place: "line " + strconv.Itoa(first), Err: err}
		}
	}
	return out, nil
}

// continued reports whether a line ends in a backslash that is not itself escaped.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitProperty cuts at the first unescaped separator, which may have white space around it.
func splitProperty(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	rest := strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return line[:end], rest
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r, n, err := unicodeEscape(s[i-1:])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += n - 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// unicodeEscape reads \uXXXX, or two of them that are one character outside of the first plane, and how many bytes they take.
func unicodeEscape(s string) (r rune, n int, err error) {
	r, ok := hex4(s)
	if !ok {
		return 0, 0, fmt.Errorf(`\u needs four hexadecimal digits`)
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(s[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != '\uFFFD' {
				return pair, 12, nil
			}
		}
	}
	return r, 6, nil
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(n), err == nil
}

// ReadProperties reads a file of Java properties, for the command line's client settings; the last of repeated keys counts.
func ReadProperties(text string) (map[string]string, error) {
	settings, err := parseProperties(text)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(settings))
	for _, s := range settings {
		out[s.name] = strings.TrimSpace(s.value)
	}
	return out, nil
}
