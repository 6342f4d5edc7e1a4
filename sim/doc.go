// Command sim runs whole clusters from seeds, and says which seed shows what.
//
//	go run ./sim -seeds 1000        seeds 1 to 1000
//	go run ./sim -seed 6            one seed again, with its trace
//	go run ./sim -bugs              every defect of the bug bank is looked for
//
// A seed is a cluster of three to five nodes, the very code that users run, with its disks, network, clocks and clients in one process
// (package cluster), on a Go runtime whose choices follow from the seed (overlay.go): the same seed gives the same run, event by event.
//
// Owns:        building the simulation, running seeds in processes of their own, shrinking a failure, the count of interesting states.
// Never:       judges a run: package cluster and history do.
// Start at:    main.go; cluster/run.go is what happens in a seed.
package main
