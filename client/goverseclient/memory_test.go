package goverseclient_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/xiaonanln/goverse/client/goverseclient"
)

const (
	// idlersVariable makes the test binary the clients of TestIdleSessionsAreSmall, of
	// the server at the address that it says.
	idlersVariable = "GOVERSE_TEST_IDLERS"
	idlers         = 1000
)

// beIdlers opens sessions, uses each once, and waits until the standard input ends.
func beIdlers(addr string) {
	for range idlers {
		c, err := goverseclient.Dial(context.Background(), addr)
		if err == nil {
			_, err = c.Call(context.Background(), "Echo", word("hello"))
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// memory is what the process has in use for its heap and its stacks.
func memory() (heap, stacks int) {
	for range 3 { // stacks shrink by half each time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse), int(m.StackInuse)
}

// An idle session, each on a connection of its own, costs its server at most 40 KiB,
// with all that is gRPC's. Not parallel: it measures the process.
func TestIdleSessionsAreSmall(t *testing.T) {
	addr := benchServer(t)
	heap, stacks := memory()
	goroutines := runtime.NumGoroutine()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), idlersVariable+"="+addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	word, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || word != "ready\n" {
		t.Fatalf("the other process said %q, %v", word, err)
	}
	heap2, stacks2 := memory()
	t.Logf("each idle session: %d bytes of heap, %d of stacks, %.1f goroutines", (heap2-heap)/idlers, (stacks2-stacks)/idlers,
		float64(runtime.NumGoroutine()-goroutines)/idlers)
	most := 40 << 10
	if raceEnabled { // it has stacks and heap of its own making
		most *= 2
	}
	if each := (heap2 - heap + stacks2 - stacks) / idlers; each > most {
		t.Errorf("%d bytes for each idle session, want at most %d", each, most)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
