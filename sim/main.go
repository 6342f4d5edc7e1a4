package main

import (
	"fmt"
	"os"
	"os/exec"
)

func main() {
	dir := os.Args[1]
	o, err := writeOverlay(dir, runtimeEdits)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c := exec.Command("go", "test", "-c", "-overlay", o, "-tags", "simruntime,invariants", "-o", dir+"/sim.test", "./sim/cluster")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
