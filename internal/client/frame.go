package client

import (
	"encoding/binary"
	"fmt"
	"io"
)

// firstRead is how much memory a frame gets before any of it has come.
const firstRead = 64 << 10

// readFrame reads one length-prefixed frame of at most limit bytes into memory of its own.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 0 || size > limit {
		return nil, fmt.Errorf("answer of %d bytes, limit %d", size, limit)
	}
	frame := make([]byte, min(size, firstRead))
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
