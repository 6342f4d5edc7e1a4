package controller

import (
	"context"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/model"
)

// UpdateFeatures finalizes feature levels (KIP-584, KIP-778): all that are asked for, or none.
func (c *Controller) UpdateFeatures(ctx context.Context, q UpdateFeatures) (UpdatedFeatures, error) {
	return run(ctx, c, func(img *metadata.Image) ([]metadata.Record, UpdatedFeatures) {
		records, reply := updateFeatures(img, &q, c.o.Me)
		if q.ValidateOnly || !reply.OK() {
			records = nil
		}
		return records, reply
	})
}

func updateFeatures(img *metadata.Image, q *UpdateFeatures, me model.BrokerID) ([]metadata.Record, UpdatedFeatures) {
	var records []metadata.Record
	var reply UpdatedFeatures
	for i := range q.Updates {
		u := &q.Updates[i]
		out := updateFeature(img, u, me)
		reply.Features = append(reply.Features, NamedOutcome{u.Name, out})
		switch {
		case !out.OK() && reply.OK():
			reply.Outcome = failure(out.Code, "The update failed for all features since the following feature had an error: %s", out.Message)
		case out.OK() && img.FeatureLevel(u.Name) != u.Level:
			records = append(records, &metadata.FeatureLevel{Name: u.Name, Level: u.Level})
		}
	}
	return records, reply
}

// updateFeature says what is wrong with one update. Kafka's messages.
func updateFeature(img *metadata.Image, u *FeatureUpdate, me model.BrokerID) Outcome {
	refuse := func(format string, args ...any) Outcome {
		return failure(model.InvalidUpdateVersion, "Invalid update version %d for feature %s. "+format, append([]any{u.Level, u.Name}, args...)...)
	}
	have := img.FeatureLevel(u.Name)
	supported, known := supportedFeature(u.Name)
	blocker, blocked := img.FeatureBlocker(u.Name, u.Level)
	switch {
	case u.Type < Upgrade || u.Type > UnsafeDowngrade:
		return refuse("The controller does not support the given upgrade type.")
	case u.Level == 0 && u.Type != Upgrade && have == 0:
		return refuse("Feature %s not found.", u.Name)
	case u.Level < 0:
		return refuse("A feature version cannot be less than 0.")
	case !known:
		return refuse("Local controller %d does not support this feature.", me)
	case u.Level < supported.Min || u.Level > supported.Max:
		return refuse("Local controller %d only supports versions %d-%d", me, supported.Min, supported.Max)
	case blocker != model.NoBroker && blocked == (metadata.FeatureRange{Name: u.Name}):
		return refuse("Broker %d does not support this feature.", blocker)
	case blocker != model.NoBroker:
		return refuse("Broker %d only supports versions %d-%d", blocker, blocked.Min, blocked.Max)
	case u.Level < have && u.Type == Upgrade:
		return refuse("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case u.Level > have && u.Type != Upgrade:
		return refuse("Can't upgrade the version of this feature while the upgrade type is a downgrade.")
	}
	return Outcome{}
}

func supportedFeature(name string) (metadata.FeatureRange, bool) {
	for _, f := range metadata.SupportedFeatures() {
		if f.Name == name {
			return f, true
		}
	}
	return metadata.FeatureRange{}, false
}
