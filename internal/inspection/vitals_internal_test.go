package inspection

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestVitalsOfThisProcess(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := New(Config{Clock: clock.System(), Vitals: func(v *inspectpb.Vitals) { v.Clients = 3 }})
	v := s.vitals(false)
	if v.GetPid() <= 0 || v.GetGoroutines() == 0 || v.GetHeapBytes() == 0 || v.GetProcessors() == 0 || v.GetGoVersion() != runtime.Version() || v.GetClients() != 3 {
		t.Errorf("%v", v)
	}
	if started := time.UnixMicro(v.GetStartedUs()); started.After(now.Add(time.Second)) || now.Sub(started) > 24*time.Hour {
		t.Errorf("it started at %v, now is %v", started, now)
	}
	if runtime.GOOS == "linux" && (v.GetRssBytes() < v.GetHeapBytes()/2 || v.GetCpuNs() <= 0) {
		t.Errorf("resident %d, heap %d, CPU %d ns", v.GetRssBytes(), v.GetHeapBytes(), v.GetCpuNs())
	}
}

// The system is asked for the resident memory only where what it said is older than it may be.
func TestResidentMemoryIsAskedForSeldom(t *testing.T) {
	t.Parallel()
	var r resident
	if runtime.GOOS == "linux" && r.atMost(time.Second, time.Second) == 0 {
		t.Error("it is not asked at first")
	}
	r.bytes = 1
	if got := r.atMost(time.Second, 2*time.Second-1); got != 1 {
		t.Errorf("it is asked again at once: %d", got)
	}
	if runtime.GOOS == "linux" && r.atMost(time.Second, 2*time.Second) == 1 {
		t.Error("it is not asked again")
	}
}

func TestVersionOfGoVerse(t *testing.T) {
	t.Parallel()
	for want, info := range map[string]*debug.BuildInfo{
		"v1":    {Main: debug.Module{Path: module, Version: "v1"}},
		"v2":    {Main: debug.Module{Path: "else"}, Deps: []*debug.Module{{Path: "other", Version: "v9"}, {Path: module, Version: "v2"}}},
		"v3":    {Deps: []*debug.Module{{Path: module, Version: "v2", Replace: &debug.Module{Version: "v3"}}}},
		"local": {Deps: []*debug.Module{{Path: module, Version: "local", Replace: &debug.Module{Path: "../goverse"}}}},
		"":      {},
	} {
		if got := versionOf(info); got != want {
			t.Errorf("version %q, want %q", got, want)
		}
	}
}
