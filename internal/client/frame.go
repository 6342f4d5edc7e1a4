package client

import (
	"encoding/binary"
	"fmt"
	"io"
)

// firstRead is how much memory a frame gets before any of it has come.
const firstRead = 64 << 10

// readSize reads the length in front of a frame of at most limit bytes.
func readSize(r io.Reader, limit int) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 0 || size > limit {
		return 0, fmt.Errorf("answer of %d bytes, limit %d", size, limit)
	}
	return size, nil
}

// readBody reads a frame into lent if that is large enough, else into memory of its own, which grows with the bytes that come, not with what
// the size claims.
func readBody(r io.Reader, size int, lent []byte) ([]byte, error) {
	frame := lent[:cap(lent)]
	if size <= len(frame) {
		frame = frame[:size]
	} else if len(frame) < firstRead {
		frame = make([]byte, min(size, firstRead))
	}
	have := 0
	for {
		n, err := io.ReadFull(r, frame[have:])
		have += n
		if err != nil {
			return nil, err
		}
		if have == size {
			return frame, nil
		}
		grown := make([]byte, min(size, 4*len(frame)))
		copy(grown, frame)
		frame = grown
	}
}
