package batch

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// stream is a decompressor that can be used again. Reads give io.EOF at the proper end only.
type stream interface {
	io.Reader
	// reset begins with the compressed bytes b. budget is what the caller will read at most; a stream that has to decompress in
	// larger pieces refuses more with ErrTooLarge.
	reset(b []byte, budget int64) error
	// idle drops references to the last input, and reports whether what is left is small enough to keep.
	idle() bool
}

func newStream(c Codec) stream {
	switch c {
	case Gzip:
		return &gzipStream{}
	case Snappy:
		return &snappyStream{}
	case LZ4:
		return &lz4Stream{}
	default:
		return &zstdStream{}
	}
}

type gzipStream struct {
	src bytes.Reader
	gz  *gzip.Reader
}

func (s *gzipStream) reset(b []byte, _ int64) (err error) {
	s.src.Reset(b)
	if s.gz == nil {
		s.gz, err = gzip.NewReader(&s.src)
		return err
	}
	return s.gz.Reset(&s.src)
}

func (s *gzipStream) Read(b []byte) (int, error) { return s.gz.Read(b) }

func (s *gzipStream) idle() bool {
	s.src.Reset(nil)
	return s.gz != nil
}

// Windows of zstd frames. A streaming decoder allocates what the frame's header asks for, so larger windows than common levels
// use go another way, where memory follows the data.
const (
	zstdStreamWindow = 8 << 20   // level 19, and what klauspost's default level declares
	zstdMaxWindow    = 128 << 20 // level 22, and the most that Kafka's own decoder takes
	zstdIdleWindow   = 2 << 20   // level 3
	zstdMaxBlock     = 128 << 10
)

// zstdStream reads frames with ordinary windows as a stream, others in one piece.
type zstdStream struct {
	src    bytes.Reader
	dec    *zstd.Decoder
	whole  *zstd.Decoder // for large windows
	piece  bytes.Reader  // what whole has decoded
	pieced bool
	single bool   // the frame is its own window
	window uint64 // of the frame
}

func (s *zstdStream) reset(b []byte, budget int64) error {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return err
	}
	s.window = h.WindowSize
	if s.single = h.SingleSegment; s.single {
		s.window = h.FrameContentSize
	}
	s.pieced = s.window > zstdStreamWindow
	if s.pieced {
		return s.decodeWhole(b, budget)
	}
	if s.dec == nil {
		var err error
		s.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdStreamWindow))
		if err != nil {
			return err
		}
	}
	s.src.Reset(b)
	return s.dec.Reset(&s.src)
}

// decodeWhole decodes into memory that grows with the output.
func (s *zstdStream) decodeWhole(b []byte, budget int64) error {
	if s.window > zstdMaxWindow {
		return ErrTooLarge
	}
	// The library believes what a frame says about its contents. The best block of the format turns 4 bytes into 128 KiB.
	if s.single && s.window > uint64(len(b)/4+1)*zstdMaxBlock {
		return corrupt("zstd frame of %d bytes claims %d", len(b), s.window)
	}
	if s.whole == nil {
		var err error
		if s.whole, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err != nil {
			return err
		}
	}
	// The limit on the output bounds the window as well, and small records may come with a large one.
	most := max(uint64(budget), s.window)
	if err := s.whole.ResetWithOptions(nil, zstd.WithDecoderMaxMemory(most)); err != nil {
		return err
	}
	out, err := s.whole.DecodeAll(b, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || int64(len(out)) > budget {
		return ErrTooLarge
	}
	s.piece.Reset(out)
	return err
}

func (s *zstdStream) Read(b []byte) (int, error) {
	if s.pieced {
		return s.piece.Read(b)
	}
	return s.dec.Read(b)
}

func (s *zstdStream) idle() bool {
	s.src.Reset(nil)
	s.piece.Reset(nil)
	if s.dec == nil || s.window > zstdIdleWindow {
		return false
	}
	return s.dec.Reset(nil) == nil
}
