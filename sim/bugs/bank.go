package bugs

import "github.com/klamm/klamm/internal/bug"

// Defect is one entry of the bank.
type Defect struct {
	Name bug.Defect
	// From is who had it.
	From string
	// Rule is what it breaks, by its id in the house's list of invariants, and how.
	Rule string
	// Seeds is how many it took when it was last measured, one after the other from seed 1, and By what found it then: an invariant, or an
	// anomaly of package history. 0 while nothing has found it: the simulation has to become stronger there.
	Seeds int
	By    string
}

// Quick reports that a few seeds are enough, so that every change can be held against it.
func (d *Defect) Quick() bool { return d.Seeds > 0 && d.Seeds <= 4 }

// All is the bank.
func All() []Defect {
	return append(append(append(append(replication(), controller()...), quorum()...), commitlog()...), groups()...)
}
