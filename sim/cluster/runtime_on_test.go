//go:build simruntime

package cluster

import (
	"runtime"
	"runtime/pprof"
	"unsafe"
)

//go:linkname simSeed runtime.simSeed
func simSeed(seed uint64)

func seedRuntime(seed uint64) {
	startThreads()
	freshMemory()
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

// arena is the unit in which the runtime takes memory from the system; the heap is a row of them.
const arena = 64 << 20

// What freshMemory allocated.
var (
	kept     [][]byte
	pointers [][]*byte
	small    *byte
)

// freshMemory has everything from now on come from memory nothing was taken from before: what a process allocates until here depends a little on
// real time, and what comes later would lie elsewhere.
func freshMemory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	border := uintptr(0)
	for { // pages, to the end of the last arena and of every gap before it
		b := make([]byte, 8192)
		at := uintptr(unsafe.Pointer(&b[0]))
		kept = append(kept, b)
		if border == 0 {
			border = at&^(arena-1) + arena
		}
		if at >= border {
			break
		}
	}
	for _, class := range m.BySize[1:] {
		size := int(class.Size)
		for at := uintptr(0); at < border; { // without pointers
			b := make([]byte, size)
			kept, at = append(kept, b), uintptr(unsafe.Pointer(&b[0]))
		}
		if size > 512 {
			size -= 8 // the runtime puts a word before what is larger
		}
		for at := uintptr(0); at < border; {
			b := make([]*byte, size/8)
			pointers, at = append(pointers, b), uintptr(unsafe.Pointer(&b[0]))
		}
	}
	for at := uintptr(0); at < border; { // what is smaller than a word shares one
		b := new(byte)
		at = uintptr(unsafe.Pointer(b))
		small = b
	}
}
