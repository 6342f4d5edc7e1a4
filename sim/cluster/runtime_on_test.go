//go:build simruntime

package cluster

import (
	"runtime"
	"runtime/pprof"
	_ "unsafe" // for go:linkname
)

//go:linkname simSeed runtime.simSeed
func simSeed(seed uint64)

func seedRuntime(seed uint64) {
	startThreads()
	simSeed(seed)
}

// threads are more than a process has started until here.
const threads = 24

// startThreads lets the process have as many threads in every run, and idle ones among them, so that no further one is started. How many there are
// by themselves depends on real time, and each takes memory: addresses would depend on it, and they are the order of a map whose keys are pointers.
func startThreads() {
	started := pprof.Lookup("threadcreate")
	begun, end, ended := make(chan bool), make(chan bool), make(chan bool)
	for range threads {
		go func() {
			if started.Count() < threads {
				runtime.LockOSThread() // while it waits, another thread has to run the others
				defer runtime.UnlockOSThread()
			}
			begun <- true
			<-end
			ended <- true
		}()
		<-begun
	}
	close(end)
	for range threads {
		<-ended
	}
}
