package cli

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// printer appends one record to out.
type printer func(out []byte, r *kgo.Record) []byte

// formatHelp documents parseFormat; kcat's letters mean the same.
const formatHelp = `  %t topic   %p partition   %o offset   %T timestamp in ms   %D timestamp, readable
  %k key     %s value       %h headers (k=v,k=v)
  %K, %S     length of key, of value; -1 for null
  %R         length of the value as 4 bytes, big endian
  %% a percent sign; \n \r \t \0 \\ \xHH as usual`

// parseFormat compiles a format of kcat's kind.
func parseFormat(format string) (printer, error) {
	var parts []printer
	literal := []byte{}
	flush := func() {
		if len(literal) > 0 {
			text := literal
			parts = append(parts, func(out []byte, _ *kgo.Record) []byte { return append(out, text...) })
			literal = []byte{}
		}
	}
	for i := 0; i < len(format); i++ {
		switch c := format[i]; {
		case c == '\\':
			b, n, err := escapeAt(format[i:])
			if err != nil {
				return nil, err
			}
			literal = append(literal, b)
			i += n - 1
		case c == '%' && i+1 < len(format) && format[i+1] == '%':
			literal = append(literal, '%')
			i++
		case c == '%':
			if i+1 == len(format) {
				return nil, fmt.Errorf("%q ends in a lone %%", format)
			}
			p := directive(format[i+1])
			if p == nil {
				return nil, fmt.Errorf("%q: %%%c means nothing; known are\n%s", format, format[i+1], formatHelp)
			}
			flush()
			parts = append(parts, p)
			i++
		default:
			literal = append(literal, c)
		}
	}
	flush()
	return func(out []byte, r *kgo.Record) []byte {
		for _, p := range parts {
			out = p(out, r)
		}
		return out
	}, nil
}

func directive(c byte) printer {
	switch c {
	case 't':
		return func(out []byte, r *kgo.Record) []byte { return append(out, r.Topic...) }
	case 'p':
		return func(out []byte, r *kgo.Record) []byte { return strconv.AppendInt(out, int64(r.Partition), 10) }
	case 'o':
		return func(out []byte, r *kgo.Record) []byte { return strconv.AppendInt(out, r.Offset, 10) }
	case 'T':
		return func(out []byte, r *kgo.Record) []byte { return strconv.AppendInt(out, r.Timestamp.UnixMilli(), 10) }
	case 'D':
		return func(out []byte, r *kgo.Record) []byte {
			return r.Timestamp.UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z07:00")
		}
	case 'k':
		return func(out []byte, r *kgo.Record) []byte { return append(out, r.Key...) }
	case 's':
		return func(out []byte, r *kgo.Record) []byte { return append(out, r.Value...) }
	case 'K':
		return func(out []byte, r *kgo.Record) []byte { return strconv.AppendInt(out, length(r.Key), 10) }
	case 'S':
		return func(out []byte, r *kgo.Record) []byte { return strconv.AppendInt(out, length(r.Value), 10) }
	case 'R':
		return func(out []byte, r *kgo.Record) []byte {
			return binary.BigEndian.AppendUint32(out, uint32(length(r.Value)))
		}
	case 'h':
		return func(out []byte, r *kgo.Record) []byte {
			for i, h := range r.Headers {
				if i > 0 {
					out = append(out, ',')
				}
				out = append(append(append(out, h.Key...), '='), h.Value...)
			}
			return out
		}
	}
	return nil
}

func length(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

// escapeAt reads one escape, which s begins with, and how many bytes it takes.
func escapeAt(s string) (b byte, n int, err error) {
	if len(s) < 2 {
		return 0, 0, fmt.Errorf("a lone backslash at the end")
	}
	switch s[1] {
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case '0':
		return 0, 2, nil
	case 'x':
		if len(s) >= 4 {
			if v, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				return byte(v), 4, nil
			}
		}
		return 0, 0, fmt.Errorf(`\x needs two hexadecimal digits`)
	}
	return s[1], 2, nil
}

// unescape reads the escapes of a separator given on the command line.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		b, n, err := escapeAt(s[i:])
		if err != nil {
			return "", err
		}
		out = append(out, b)
		i += n - 1
	}
	return string(out), nil
}

// widePrinter is -o wide: where and when before key and value.
func widePrinter(out []byte, r *kgo.Record) []byte {
	out = append(out, r.Topic...)
	out = append(out, '/')
	out = strconv.AppendInt(out, int64(r.Partition), 10)
	out = append(out, '/')
	out = strconv.AppendInt(out, r.Offset, 10)
	out = r.Timestamp.UTC().AppendFormat(append(out, ' '), time.RFC3339Nano)
	out = append(out, ' ')
	if len(r.Headers) > 0 {
		out = append(out, '[')
		out = directive('h')(out, r)
		out = append(out, "] "...)
	}
	out = append(orNull(out, r.Key), " = "...)
	return append(orNull(out, r.Value), '\n')
}

func orNull(out, b []byte) []byte {
	if b == nil {
		return append(out, "(null)"...)
	}
	return append(out, b...)
}

// textPrinter is -o text: the value and a line's end.
func textPrinter(out []byte, r *kgo.Record) []byte { return append(append(out, r.Value...), '\n') }
