//go:build !simruntime

package cluster

func seedRuntime(uint64) {}
