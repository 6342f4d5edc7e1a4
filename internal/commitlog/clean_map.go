package commitlog

import (
	"crypto/sha256"

	"github.com/klamm/klamm/internal/model"
)

// digest stands for a key. It is cut from SHA-256: two keys with one digest would be one key to the cleaner, and a record would be lost, so
// nobody may be able to make such a pair. Kafka's MD5 would not do.
type digest [16]byte

func digestOf(key []byte) digest {
	sum := sha256.Sum256(key)
	return digest(sum[:16])
}

// keyMap knows for every key of the dirty part of a log where its last record is.
type keyMap struct {
	last  map[digest]model.Offset
	limit int          // of keys
	end   model.Offset // the map speaks for the offsets below
}

// keyBytes is about what one key costs in memory.
const keyBytes = 64

func newKeyMap(memory int64) *keyMap {
	return &keyMap{last: map[digest]model.Offset{}, limit: int(max(memory/keyBytes, 1))}
}

// note takes in a record, unless it has a new key and the map is full.
func (m *keyMap) note(key []byte, at model.Offset) bool {
	k := digestOf(key)
	if _, known := m.last[k]; !known && len(m.last) >= m.limit {
		return false
	}
	m.last[k] = at
	return true
}

// superseded reports whether a later record has the same key.
func (m *keyMap) superseded(key []byte, at model.Offset) bool {
	last, known := m.last[digestOf(key)]
	return known && at < last
}
