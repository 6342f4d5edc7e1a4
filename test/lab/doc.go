// Package lab gives processes under test machines of their own: a network namespace for each, joined by a bridge, and a disk, an ext4 file
// system on a loop device. Both can be broken from outside in the ways networks and disks break.
//
// Owns:        namespaces, links, packet filters, mounts; a janitor that takes all of it away, also when the test is killed.
// Never:       starts a process under test, changes the packet filter of the namespace the test runs in, needs the network outside.
// Needs:       root, network namespaces, nft, ext4 and loop devices. A machine without skips its tests; with CI=true they fail.
// Start at:    lab.go, then network.go and disk.go.
package lab
