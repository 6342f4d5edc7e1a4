package metadata

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/model"
)

// ErrFeature says that the cluster runs a feature at a level this software does not have. A node that meets it must stop: it could
// misread what follows (M7).
var ErrFeature = errors.New("cluster runs a feature at a level that this version of Klamm does not support")

// Names of features.
const (
	// MetadataVersion is Kafka's level for what its brokers understand; its tools print 30 as 4.3-IV0.
	MetadataVersion = "metadata.version"
	// ELRVersion turns on eligible leader replicas (KIP-966). In Klamm they always are.
	ELRVersion = "eligible.leader.replicas.version"
	// KlammVersion gates Klamm's own record formats.
	KlammVersion = "klamm.version"
)

// FeatureRange is what a piece of software can run a feature at.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Feature is a feature's finalized level, 0 when it is off, and what this software supports.
type Feature struct {
	Name                       string
	Level                      int16
	SupportedMin, SupportedMax int16
}

// SupportedFeatures are the features this software knows, by name. Only what is really there stands here: clients trust it.
func SupportedFeatures() []FeatureRange {
	return []FeatureRange{
		{ELRVersion, 1, 1},
		{KlammVersion, 1, 1},
		{MetadataVersion, 30, 30},
	}
}

// level is a finalized feature.
type level struct {
	name  string
	level int16
}

// Features are all features this software knows, with their finalized levels, by name.
func (img *Image) Features() []Feature {
	known := SupportedFeatures()
	out := make([]Feature, len(known))
	for i, k := range known {
		out[i] = Feature{Name: k.Name, Level: img.FeatureLevel(k.Name), SupportedMin: k.Min, SupportedMax: k.Max}
	}
	return out
}

// FeatureLevel is a feature's finalized level, 0 when it has none.
func (img *Image) FeatureLevel(name string) int16 {
	if i, ok := findLevel(img.features, name); ok {
		return img.features[i].level
	}
	return 0
}

func findLevel(levels []level, name string) (int, bool) {
	return slices.BinarySearchFunc(levels, name, func(l level, name string) int { return strings.Compare(l.name, name) })
}

func checkFeature(name string, lvl int16) error {
	for _, f := range SupportedFeatures() {
		if f.Name == name && (lvl == 0 || f.Min <= lvl && lvl <= f.Max) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s at level %d", ErrFeature, name, lvl)
}

// BootstrapRecords begin the log of a new cluster: every feature at its highest level, and its first voters.
func BootstrapRecords(voters ...*VoterRecord) []Record {
	var out []Record
	for _, f := range SupportedFeatures() {
		out = append(out, &FeatureLevel{Name: f.Name, Level: f.Max})
	}
	slices.SortFunc(voters, func(a, b *VoterRecord) int { return cmp.Compare(a.NodeID, b.NodeID) })
	for _, v := range voters {
		out = append(out, v)
	}
	return out
}

// brokerRange is what a broker supports of a feature; zero when it does not know it.
func (b *Broker) brokerRange(name string) (FeatureRange, bool) {
	for _, f := range b.Features {
		if f.Name == name {
			return f, true
		}
	}
	return FeatureRange{Name: name}, false
}

// FeatureBlocker is a registered broker whose software cannot run the feature at a level, or NoBroker.
func (img *Image) FeatureBlocker(name string, lvl int16) (model.BrokerID, FeatureRange) {
	for _, b := range img.brokers {
		if r, ok := b.brokerRange(name); lvl != 0 && (!ok || lvl < r.Min || lvl > r.Max) {
			return b.ID, r
		}
	}
	return model.NoBroker, FeatureRange{}
}
