// Package admin answers HTTP: health for orchestrators, metrics for Prometheus, profiles for whoever sits on the machine.
//
// Owns:        the routes of the HTTP listener.
// Never:       changes anything; looks into other rooms (node hands it what to show).
// Concurrency: handlers run on net/http's goroutines and only read.
// Start at:    admin.go.
package admin
