//go:build race

package api

// raceEnabled: the detector makes sync.Pool forget things on purpose.
const raceEnabled = true
