//go:build simruntime

package cluster

import _ "unsafe" // for go:linkname

//go:linkname simSeed runtime.simSeed
func simSeed(seed uint64)

func seedRuntime(seed uint64) { simSeed(seed) }
