// Package bugs is the bank of defects that the simulation has to find: it measures the tests. Each stands in the code beside the rule it breaks
// (grep bug.Is), and is in no program that is built without the tag bugs.
//
//	go run ./sim -bug NAME -seeds 100     runs seeds with a defect until one shows it
//	go run ./sim -bugs -seeds 2000        has every defect looked for, and prints a table
//
// A defect that is not found means that the simulation is too weak: then it gets another fault, workload or check. The defect stays as it is.
//
// Owns:        what each defect is, which system had it, and what finds it.
// Never:       breaks anything itself: that is done by the code that has the defect.
// Start at:    bank.go.
package bugs
