package controller

import (
	"context"
	"sync"

	"github.com/klamm/klamm/internal/bug"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// producerIDBlock is how many producer ids a broker gets at a time (KIP-730). A restart loses the rest of its block, which costs nothing: at
// a restart every second, 2^63 ids last for 290 million years.
const producerIDBlock = 1000

// ProducerIDBlock is a run of ids that are given to one broker and to nobody else, ever (P3).
type ProducerIDBlock struct {
	First model.ProducerID
	Count int
}

// AllocateProducerIDs gives a broker its next block. It returns after the metadata log has it.
func (c *Controller) AllocateProducerIDs(ctx context.Context, id model.BrokerID, epoch model.BrokerEpoch) (ProducerIDBlock, error) {
	type reply struct {
		block ProducerIDBlock
		err   error
	}
	r, err := run(ctx, c, func(img *metadata.Image) ([]metadata.Record, reply) {
		if out := checkBroker(img, id, epoch); !out.OK() {
			return nil, reply{err: out}
		}
		first := img.NextProducerID()
		if bug.Is(bug.ProducerIDsTwice) { // P3
			return nil, reply{block: ProducerIDBlock{first, producerIDBlock}}
		}
		return []metadata.Record{&metadata.ProducerIDs{
			BrokerID: int32(id), BrokerEpoch: int64(epoch), NextProducerID: int64(first) + producerIDBlock,
		}}, reply{block: ProducerIDBlock{first, producerIDBlock}}
	})
	if err == nil {
		err = r.err
	}
	return r.block, err
}

// checkBroker refuses brokers that are not registered, or by another epoch.
func checkBroker(img *metadata.Image, id model.BrokerID, epoch model.BrokerEpoch) Outcome {
	switch b := img.Broker(id); {
	case b == nil:
		return failure(model.BrokerIDNotRegistered, "Broker ID %d is not currently registered", id)
	case b.Epoch != epoch:
		return failure(model.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", b.Epoch, epoch)
	}
	return Outcome{}
}

// ProducerIDs hands out ids one by one from blocks. Its methods may be called from any goroutine; while a new block is fetched, all wait.
type ProducerIDs struct {
	allocate func(context.Context) (ProducerIDBlock, error)
	mu       struct {
		sync.Mutex
		block ProducerIDBlock
	}
}

// NewProducerIDs makes a source of ids that fetches its blocks by allocate.
func NewProducerIDs(allocate func(context.Context) (ProducerIDBlock, error)) *ProducerIDs {
	return &ProducerIDs{allocate: allocate}
}

// Next is an id that nobody had before.
func (p *ProducerIDs) Next(ctx context.Context) (model.ProducerID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.block.Count == 0 {
		block, err := p.allocate(ctx)
		if err != nil {
			return model.NoProducerID, err
		}
		p.mu.block = block
	}
	id := p.mu.block.First
	p.mu.block.First++
	p.mu.block.Count--
	return id, nil
}
