package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Write writes one op a line, as JSON: a history that chaos saves is one that grep and jq can read.
func Write(w io.Writer, h History) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for i := range h {
		if err := enc.Encode(&h[i]); err != nil {
			return fmt.Errorf("write op %d: %w", i, err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Read reads what Write wrote. It refuses a history whose ops do not stand where they say, because every check rests on that.
func Read(r io.Reader) (History, error) {
	var h History
	dec := json.NewDecoder(bufio.NewReader(r))
	for {
		var op Op
		err := dec.Decode(&op)
		if errors.Is(err, io.EOF) {
			return h, nil
		}
		if err != nil {
			return nil, fmt.Errorf("op %d: %w", len(h), err)
		}
		if op.Index != len(h) || op.Begun < 0 || op.Begun > op.Index {
			return nil, fmt.Errorf("line %d has op %d, begun at %d: lines are missing or in disorder", len(h)+1, op.Index, op.Begun)
		}
		h = append(h, op)
	}
}
