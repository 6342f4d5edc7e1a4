package batch

import (
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoder compresses what is written to it onto the end of a slice. It can be used again after reset.
type encoder interface {
	// reset begins to append to dst.
	reset(dst []byte)
	write(b []byte) error
	// close ends the stream and gives the slice.
	close() ([]byte, error)
}

// newEncoder makes an encoder of a codec other than None. Levels are Kafka's, and DefaultLevel; what the library has no equal for
// becomes the nearest.
func newEncoder(c Codec, level int) (encoder, error) {
	switch c {
	case Gzip:
		if level == DefaultLevel {
			level = gzip.DefaultCompression
		}
		e := &gzipEncoder{}
		gz, err := gzip.NewWriterLevel(&e.out, level)
		e.gz = gz
		return e, err
	case Zstd:
		if level == DefaultLevel {
			level = zstdDefaultLevel
		}
		e := &zstdEncoder{}
		enc, err := zstd.NewWriter(&e.out, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithWindowSize(zstdIdleWindow))
		e.enc = enc
		return e, err
	case LZ4:
		lz := newLZ4Encoder(level)
		return &blockEncoder{begin: appendLZ4Header, block: lz.appendBlock, end: appendLZ4End, size: lz4WriteBlock}, nil
	default:
		return &blockEncoder{begin: appendXerialHeader, block: appendXerial, end: appendNothing, size: xerialBlockSize}, nil
	}
}

const zstdDefaultLevel = 3

// appendWriter is an io.Writer onto a slice.
type appendWriter struct{ b []byte }

func (w *appendWriter) Write(b []byte) (int, error) {
	w.b = append(w.b, b...)
	return len(b), nil
}

// take gives the slice away.
func (w *appendWriter) take() []byte {
	b := w.b
	w.b = nil
	return b
}

type gzipEncoder struct {
	out appendWriter
	gz  *gzip.Writer
}

func (e *gzipEncoder) reset(dst []byte) {
	e.out.b = dst
	e.gz.Reset(&e.out)
}

func (e *gzipEncoder) write(b []byte) error {
	_, err := e.gz.Write(b)
	return err
}

func (e *gzipEncoder) close() ([]byte, error) {
	err := e.gz.Close()
	return e.out.take(), err
}

type zstdEncoder struct {
	out appendWriter
	enc *zstd.Encoder
}

func (e *zstdEncoder) reset(dst []byte) {
	e.out.b = dst
	e.enc.Reset(&e.out)
}

func (e *zstdEncoder) write(b []byte) error {
	_, err := e.enc.Write(b)
	return err
}

func (e *zstdEncoder) close() ([]byte, error) {
	err := e.enc.Close()
	return e.out.take(), err
}

// blockEncoder is a framing around blocks of one size: snappy and lz4.
type blockEncoder struct {
	begin func(dst []byte) []byte
	block func(dst, block []byte) ([]byte, error)
	end   func(dst []byte) []byte
	size  int
	dst   []byte
	buf   []byte // the block being filled
}

func (e *blockEncoder) reset(dst []byte) {
	e.dst, e.buf = e.begin(dst), e.buf[:0]
}

func (e *blockEncoder) write(b []byte) error {
	if e.buf == nil {
		e.buf = make([]byte, 0, e.size)
	}
	for len(b) > 0 {
		n := min(len(b), e.size-len(e.buf))
		e.buf = append(e.buf, b[:n]...)
		b = b[n:]
		if len(e.buf) == e.size {
			if err := e.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *blockEncoder) flush() (err error) {
	if len(e.buf) > 0 {
		e.dst, err = e.block(e.dst, e.buf)
		e.buf = e.buf[:0]
	}
	return err
}

func (e *blockEncoder) close() ([]byte, error) {
	err := e.flush()
	dst := e.end(e.dst)
	e.dst = nil
	return dst, err
}

func appendXerialHeader(dst []byte) []byte {
	return append(append(dst, xerialMagic...), xerialVersions...)
}

func appendXerial(dst, block []byte) ([]byte, error) { return appendXerialBlock(dst, block), nil }

func appendNothing(dst []byte) []byte { return dst }

func appendLZ4End(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }
