package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, which Linux fixes at 100 for every architecture Klamm runs on.
const clockTick = 100

// cpuSeconds is the user and system time a process has used, its threads included.
func cpuSeconds(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name may hold spaces; fields are counted behind its closing bracket, where utime and stime are 12 and 13.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	sys, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("cannot read %q", raw)
	}
	return (user + sys) / clockTick, nil
}

// rssMB is the resident memory of a process, without the page cache its files have.
func rssMB(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d reports no VmRSS", pid)
}

// stealSeconds is the time the host took from this machine since boot, summed over cores.
func stealSeconds() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(raw[:bytes.IndexByte(raw, '\n')]))
	v, err := strconv.ParseFloat(f[8], 64)
	if err != nil {
		return 0
	}
	return v / clockTick
}

// childLoad runs this binary again, pinned to the load's core, so that load and broker never share one.
func childLoad(kind string, load any) (loadResult, error) { return childLoadOn(loadCPU, kind, load) }

func childLoadOn(cpu, kind string, load any) (loadResult, error) {
	var res loadResult
	arg, err := json.Marshal(load)
	if err != nil {
		return res, err
	}
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	cmd := exec.Command("taskset", "-c", cpu, self, "-load", kind)
	cmd.Stdin = bytes.NewReader(arg)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.Output()
	if err != nil {
		return res, fmt.Errorf("%s load: %w: %s", kind, err, stderr.String())
	}
	return res, json.Unmarshal(out, &res)
}

// serveLoad is the child's side of childLoad.
func serveLoad(kind string) error {
	dec := json.NewDecoder(os.Stdin)
	var res loadResult
	var err error
	switch kind {
	case "produce":
		var l produceLoad
		if err = dec.Decode(&l); err == nil {
			res, err = runProduce(l)
		}
	case "fetch":
		var l fetchLoad
		if err = dec.Decode(&l); err == nil {
			res, err = runFetch(l)
		}
	case "latency":
		var l latencyLoad
		if err = dec.Decode(&l); err == nil {
			res, err = runLatency(l)
		}
	case "clients":
		var l clientLoad
		if err = dec.Decode(&l); err == nil {
			res, err = runClients(l)
		}
	case "conns":
		var l connLoad
		if err = dec.Decode(&l); err == nil {
			res, err = runConns(l)
		}
	default:
		err = fmt.Errorf("no load named %q", kind)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}
