package wire_test

import (
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// newRand gives a test its randomness and prints how to have the same again.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("KLAMM_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("KLAMM_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("replay with KLAMM_SEED=%d go test -run '^%s$' ./internal/wire", seed, t.Name())
	return rand.New(rand.NewPCG(seed, 1))
}

// filler sets every field of a message to something random: null, empty, short and, now and then, long enough for a length prefix of
// two bytes.
type filler struct {
	*rand.Rand
	// tags sets unknown tagged fields on the message type at hand.
	tags func(v reflect.Value)
}

func (f *filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.fillInt(v)
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(f.Uint64() & (1<<v.Type().Bits() - 1))
	case reflect.Float64:
		v.SetFloat(f.NormFloat64())
	case reflect.String:
		v.SetString(f.text())
	case reflect.Pointer:
		if f.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
		}
	case reflect.Slice:
		f.fillSlice(v)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(f.Uint64() & 0xff)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; {
			case name == "UnknownTags":
				if f.IntN(4) == 0 {
					f.tags(v.Field(i))
				}
			case name == "Version" && strings.HasPrefix(v.Type().PkgPath(), "github.com/twmb/") && v.Type().Field(i).Type.Kind() == reflect.Int16:
				// kmsg's messages carry their version.
			default:
				f.fill(v.Field(i))
			}
		}
	default:
		panic("no message has fields of kind " + v.Kind().String())
	}
}

func (f *filler) fillInt(v reflect.Value) {
	switch bits := v.Type().Bits(); f.IntN(4) {
	case 0:
		v.SetInt(-1)
	case 1:
		v.SetInt(int64(f.IntN(100)))
	default:
		v.SetInt(int64(f.Uint64()) >> (64 - bits))
	}
}

func (f *filler) text() string {
	n := f.IntN(12)
	if f.IntN(20) == 0 {
		n = 100 + f.IntN(300)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + f.IntN(26))
	}
	return string(b)
}

func (f *filler) fillSlice(v reflect.Value) {
	if f.IntN(4) == 0 {
		return // nil
	}
	n := f.IntN(4)
	if f.IntN(30) == 0 && v.Type().Elem().Kind() != reflect.Struct {
		n = 120 + f.IntN(20)
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		e := v.Index(i)
		if e.Kind() == reflect.Uint8 {
			e.SetUint(f.Uint64() & 0xff)
			continue
		}
		f.fill(e)
	}
}

// unknownTags fills a field of type *wire.Tags, above every number that a definition uses.
func (f *filler) unknownTags(v reflect.Value) {
	tags := wire.Tags{}
	for n, number := 1+f.IntN(3), uint32(0); len(tags) < n; {
		number += 100 + f.Uint32N(1000)
		tags = append(tags, wire.Tag{Number: number, Value: []byte(f.text())})
	}
	v.Set(reflect.ValueOf(&tags))
}

// message is one kind of message in one version: what the exhaustive tests walk over.
type message struct {
	key      wire.Key
	version  int16
	response bool
	make     func() wire.Body
}

func (m message) String() string {
	kind := "Request"
	if m.response {
		kind = "Response"
	}
	return m.key.String() + kind + " v" + strconv.Itoa(int(m.version))
}

// messages are all requests and responses in all versions.
func messages() (all []message) {
	for _, key := range wire.Keys() {
		lo, hi, _, _ := wire.Versions(key)
		for v := lo; v <= hi; v++ {
			all = append(all,
				message{key, v, false, func() wire.Body { m, _ := wire.NewRequest(key); return m }},
				message{key, v, true, func() wire.Body { m, _ := wire.NewResponse(key); return m }})
		}
	}
	return all
}
