package echo_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/bench/echo"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEchoes checks every payload that comes back, and that Close leaves no goroutine on either side.
func TestEchoes(t *testing.T) {
	t.Parallel()
	const callers, largest = 40, 5000
	bench := measure.Bench{Now: time.Now}
	for _, p := range []peer.Remote{echo.TCP(), echo.Batched(), echo.Messages(), echo.Unary()} {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			server, err := p.Serve(t.Context(), nil, peer.RemoteOptions{Objects: 1})
			if err != nil {
				t.Fatal(err)
			}
			driver, err := p.Drive(t.Context(), []string{server.Tell()}, peer.RemoteOptions{Objects: 1, Callers: callers, Payload: largest})
			if err != nil {
				t.Fatal(err)
			}
			var made int64
			for _, payload := range []int{peer.StampBytes, largest} {
				driver.Resize(payload)
				drive, err := bench.Drive(t.Context(), driver, measure.Workload{Callers: callers, Objects: 1}, 10*time.Millisecond, true)
				if err != nil {
					t.Errorf("%d bytes: %v", payload, err)
				}
				made += drive.Calls
			}
			if a, ok := driver.(peer.Auditor); ok {
				if err := a.Audit(t.Context(), made); err != nil {
					t.Error(err)
				}
				if err := a.Audit(t.Context(), made); err == nil {
					t.Error("an audit overlooks the call that the one before has made")
				}
			}
			if err := driver.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if err := server.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCallsFailWhenTheServerGoes: a caller that waits is not left waiting.
func TestCallsFailWhenTheServerGoes(t *testing.T) {
	t.Parallel()
	for _, p := range []peer.Remote{echo.TCP(), echo.Batched(), echo.Messages(), echo.Unary()} {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			server, err := p.Serve(t.Context(), nil, peer.RemoteOptions{Objects: 1})
			if err != nil {
				t.Fatal(err)
			}
			driver, err := p.Drive(t.Context(), []string{server.Tell()}, peer.RemoteOptions{Objects: 1, Callers: 2, Payload: peer.StampBytes})
			if err != nil {
				t.Fatal(err)
			}
			driver.Resize(peer.StampBytes)
			var callers sync.WaitGroup
			called := make(chan struct{}, 2)
			for caller := range 2 {
				callers.Go(func() {
					for first := true; ; first = false {
						if _, err := driver.Call(t.Context(), caller, 0); err != nil {
							return
						}
						if first {
							called <- struct{}{}
						}
					}
				})
			}
			<-called
			<-called
			if err := server.Close(t.Context()); err != nil {
				t.Error(err)
			}
			callers.Wait()
			if err := driver.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAServerOfMessagesBreaksOff: a call of nobody, and what is no call, end the connection.
func TestAServerOfMessagesBreaksOff(t *testing.T) {
	t.Parallel()
	server, err := echo.Messages().Serve(t.Context(), nil, peer.RemoteOptions{Objects: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, driven := range map[string]struct {
		by      peer.Remote
		objects int
	}{
		"no object of that name": {echo.Messages(), 2},
		"no call":                {echo.Batched(), 1},
	} {
		driver, err := driven.by.Drive(t.Context(), []string{server.Tell()}, peer.RemoteOptions{Objects: driven.objects, Callers: 1, Payload: peer.StampBytes})
		if err != nil {
			t.Fatal(err)
		}
		driver.Resize(peer.StampBytes)
		if _, err := driver.Call(t.Context(), 0, driven.objects-1); err == nil {
			t.Errorf("%s: the call is answered", name)
		}
		if err := driver.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := server.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDriverNoticesAWrongEcho: a server that answers with another caller's payload, or with garbage, fails the call.
func TestDriverNoticesAWrongEcho(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(frame []byte){
		"another payload":      func(frame []byte) { frame[len(frame)-1]++ },
		"another caller":       func(frame []byte) { frame[4] ^= 1 },
		"nobody":               func(frame []byte) { frame[9] = 1 },
		"another caller's own": func(frame []byte) { frame[12] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			var server sync.WaitGroup
			server.Go(func() {
				conn, err := lis.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				frame := make([]byte, 12+peer.StampBytes)
				for {
					for n := 0; n < len(frame); {
						more, err := conn.Read(frame[n:])
						if err != nil {
							return
						}
						n += more
					}
					spoil(frame)
					if _, err := conn.Write(frame); err != nil {
						return
					}
				}
			})
			driver, err := echo.TCP().Drive(t.Context(), []string{lis.Addr().String()}, peer.RemoteOptions{Callers: 2, Payload: peer.StampBytes})
			if err != nil {
				t.Fatal(err)
			}
			driver.Resize(peer.StampBytes)
			// Both call: where the answer goes to the other one, its payload is wrong there.
			var callers sync.WaitGroup
			errs := make([]error, 2)
			for caller := range errs {
				callers.Go(func() {
					_, errs[caller] = driver.Call(t.Context(), caller, 0)
				})
			}
			callers.Wait()
			if errs[0] == nil || errs[1] == nil {
				t.Errorf("the callers hear %v and %v", errs[0], errs[1])
			}
			if err := driver.Close(t.Context()); err != nil {
				t.Error(err)
			}
			server.Wait()
		})
	}
}
