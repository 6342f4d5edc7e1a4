package commitlog

import (
	"slices"

	"github.com/klamm/klamm/internal/batch"
	"github.com/klamm/klamm/internal/model"
)

// cleanTxns tells the cleaner which records were aborted, and which transaction markers nobody needs any more: those of transactions
// without a batch left in the log. It only looks at the part of the log where every transaction is decided.
type cleanTxns struct {
	aborted map[model.ProducerID][]abortedTxn // by marker
	open    map[model.ProducerID]bool         // a batch of the transaction was met, its marker not yet
}

// abortedIn collects the aborted transactions of a log, those too whose marker is not among what will be cleaned.
func (l *Log) abortedIn(all []*segment) (map[model.ProducerID][]abortedTxn, error) {
	found := map[model.ProducerID][]abortedTxn{}
	v := &view{segments: all}
	for i, s := range all {
		entries, err := l.aborted(all, s, v.high(i))
		if err != nil {
			return nil, err
		}
		for _, t := range entries {
			found[t.producer] = append(found[t.producer], t)
		}
	}
	return found, nil
}

// restart begins another walk from the log's beginning.
func (t *cleanTxns) restart() { t.open = map[model.ProducerID]bool{} }

// sawData takes in a data batch and reports whether its transaction was aborted.
func (t *cleanTxns) sawData(h *batch.Header) (aborted bool) {
	if !h.Attributes.Transactional() {
		return false
	}
	t.open[h.ProducerID] = true
	txn, ok := t.endedBy(h.ProducerID, h.BaseOffset)
	return ok && txn.first <= h.BaseOffset
}

// sawMarker takes in a control batch and reports whether its transaction has a batch left.
func (t *cleanTxns) sawMarker(h *batch.Header) (needed bool) {
	needed = t.open[h.ProducerID]
	delete(t.open, h.ProducerID)
	return needed && h.Count > 0
}

// endedBy is the aborted transaction of a producer that the first marker at or behind off ended.
func (t *cleanTxns) endedBy(id model.ProducerID, off model.Offset) (abortedTxn, bool) {
	txns := t.aborted[id]
	i, _ := slices.BinarySearchFunc(txns, off, func(x abortedTxn, off model.Offset) int { return cmpOffset(x.last, off) })
	if i == len(txns) {
		return abortedTxn{}, false
	}
	return txns[i], true
}
