package kafkatools

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/config"
)

// deserializer turns bytes into what Java's toString prints of them.
type deserializer func([]byte) (string, error)

// formatter prints records as Kafka's formatter classes do.
type formatter struct {
	fields                                map[string]bool // print.*
	keySep, lineSep, headersSep, nullText string
	key, value, header                    deserializer
	quiet                                 bool
	offsets                               bool
	metadata                              bool
}

func (t *tool) newFormatter() (*formatter, error) {
	props := map[string]string{}
	if t.opt.has("formatter-config") {
		text, err := os.ReadFile(t.opt.value("formatter-config"))
		if err != nil {
			return nil, err
		}
		if props, err = config.ReadProperties(string(text)); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"property", "formatter-property"} {
		for _, p := range t.opt.values(name) {
			k, v, _ := strings.Cut(p, "=")
			props[k] = v
		}
	}
	for flag, key := range map[string]string{"key-deserializer": "key.deserializer", "value-deserializer": "value.deserializer"} {
		if t.opt.has(flag) {
			props[key] = t.opt.value(flag)
		}
	}
	f := &formatter{keySep: "\t", lineSep: "\n", headersSep: ",", nullText: "null", fields: map[string]bool{"value": true}}
	for _, field := range []string{"timestamp", "key", "offset", "epoch", "partition", "headers", "value"} {
		if v, ok := props["print."+field]; ok {
			f.fields[field] = strings.EqualFold(strings.TrimSpace(v), "true")
		}
	}
	for key, field := range map[string]*string{"key.separator": &f.keySep, "line.separator": &f.lineSep, "headers.separator": &f.headersSep, "null.literal": &f.nullText} {
		if v, ok := props[key]; ok {
			*field = v
		}
	}
	for key, field := range map[string]*deserializer{"key.deserializer": &f.key, "value.deserializer": &f.value, "header.deserializer": &f.header, "headers.deserializer": &f.header} {
		d, err := deserializerOf(props[key])
		if err != nil {
			return nil, err
		}
		if d != nil {
			*field = d
		}
	}
	return f, f.class(t.opt.value("formatter"))
}

// class chooses what to print by the name of Kafka's class.
func (f *formatter) class(name string) error {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "DefaultMessageFormatter", "LoggingMessageFormatter":
		return nil
	case "NoOpMessageFormatter":
		f.quiet = true
		return nil
	case "OffsetsMessageFormatter":
		f.offsets = true
		return nil
	case "GroupMetadataMessageFormatter":
		f.metadata = true
		return nil
	}
	return bare("Formatter %s cannot be loaded: Java classes other than Kafka's own formatters cannot run here.", name)
}

// append prints one record.
func (f *formatter) append(out []byte, r *kgo.Record) ([]byte, error) {
	switch {
	case f.quiet:
		return out, nil
	case f.offsets:
		return appendOffsetRecord(out, r)
	case f.metadata:
		return appendGroupRecord(out, r)
	}
	var parts []string
	add := func(field, text string) {
		if f.fields[field] {
			parts = append(parts, text)
		}
	}
	kind := "CreateTime"
	if r.Attrs.TimestampType() == 1 {
		kind = "LogAppendTime"
	}
	if r.Attrs.TimestampType() < 0 {
		add("timestamp", "NO_TIMESTAMP")
	} else {
		add("timestamp", kind+":"+strconv.FormatInt(r.Timestamp.UnixMilli(), 10))
	}
	add("partition", "Partition:"+strconv.Itoa(int(r.Partition)))
	add("offset", "Offset:"+strconv.FormatInt(r.Offset, 10))
	add("epoch", "Epoch:NOT_PRESENT") // Kafka's console consumer does not carry it over to its formatter
	if f.fields["headers"] {
		h, err := f.headers(r)
		if err != nil {
			return out, err
		}
		parts = append(parts, h)
	}
	for _, field := range []struct {
		name string
		data []byte
		read deserializer
	}{{"key", r.Key, f.key}, {"value", r.Value, f.value}} {
		if !f.fields[field.name] {
			continue
		}
		text, err := f.text(field.data, field.read)
		if err != nil {
			return out, err
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return out, nil
	}
	return append(append(out, strings.Join(parts, f.keySep)...), f.lineSep...), nil
}

func (f *formatter) text(b []byte, read deserializer) (string, error) {
	switch {
	case b == nil:
		return f.nullText, nil
	case read == nil:
		return string(b), nil
	}
	return read(b)
}

func (f *formatter) headers(r *kgo.Record) (string, error) {
	if len(r.Headers) == 0 {
		return "NO_HEADERS", nil
	}
	out := make([]string, len(r.Headers))
	for i, h := range r.Headers {
		v, err := f.text(h.Value, f.header)
		if err != nil {
			return "", err
		}
		out[i] = h.Key + ":" + v
	}
	return strings.Join(out, f.headersSep), nil
}

// deserializerOf finds Kafka's own deserializers by class name.
func deserializerOf(class string) (deserializer, error) {
	fixed := func(size int, show func([]byte) string) deserializer {
		return func(b []byte) (string, error) {
			if len(b) != size {
				return "", fmt.Errorf("org.apache.kafka.common.errors.SerializationException: Size of data received by %s is not %d", class[strings.LastIndexByte(class, '.')+1:], size)
			}
			return show(b), nil
		}
	}
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "":
		return nil, nil
	case "StringDeserializer", "ByteArrayDeserializer", "BytesDeserializer", "ByteBufferDeserializer":
		return func(b []byte) (string, error) { return string(b), nil }, nil
	case "LongDeserializer":
		return fixed(8, func(b []byte) string { return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10) }), nil
	case "IntegerDeserializer":
		return fixed(4, func(b []byte) string { return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))) }), nil
	case "ShortDeserializer":
		return fixed(2, func(b []byte) string { return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))) }), nil
	case "BooleanDeserializer":
		return fixed(1, func(b []byte) string { return strconv.FormatBool(b[0] != 0) }), nil
	case "DoubleDeserializer":
		return fixed(8, func(b []byte) string { return javaFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 64) }), nil
	case "FloatDeserializer":
		return fixed(4, func(b []byte) string { return javaFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32) }), nil
	case "UUIDDeserializer":
		return func(b []byte) (string, error) { return string(b), nil }, nil
	case "VoidDeserializer":
		return func([]byte) (string, error) { return "null", nil }, nil
	}
	return nil, bare("Deserializer %s cannot be loaded: Java classes other than Kafka's own cannot run here.", class)
}

// javaFloat prints a number as Java does: always with a point, exponents as E.
func javaFloat(f float64, size int) string {
	if abs := math.Abs(f); f == 0 || abs >= 1e-3 && abs < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, size)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, ok := strings.Cut(strconv.FormatFloat(f, 'e', -1, size), "e")
	if !ok {
		return map[string]string{"+Inf": "Infinity", "-Inf": "-Infinity", "NaN": "NaN"}[mantissa]
	}
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}
