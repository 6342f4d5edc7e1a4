//go:build !race

package server

// raceEnabled: the detector makes sync.Pool forget things on purpose.
const raceEnabled = false
