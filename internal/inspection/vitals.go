package inspection

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// module is the path of the module whose version counts.
const module = "github.com/xiaonanln/goverse"

// process is what does not change while the process runs.
type process struct {
	pid       int64
	startedUs int64
	version   string
}

// newProcess looks at the process. now stands for its start where the system does not tell it.
func newProcess(now time.Time) process {
	p := process{pid: int64(os.Getpid()), startedUs: now.UnixMicro()}
	if age, ok := processAge(); ok {
		p.startedUs = now.Add(-age).UnixMicro()
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		p.version = versionOf(info)
	}
	return p
}

// versionOf is the version of GoVerse in a program; empty: it does not say.
func versionOf(info *debug.BuildInfo) string {
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			if dep.Replace != nil && dep.Replace.Version != "" {
				return dep.Replace.Version
			}
			return dep.Version
		}
	}
	return ""
}

// How long what is known of the resident memory is taken for what it is, while somebody looks and while nobody does: to
// ask the system for it is a third of what a message costs.
const (
	rssFor           = 2 * VitalsFor
	unattendedRSSFor = 9 * time.Second
)

// resident is how much memory the process has from the system, as it was asked last.
type resident struct {
	mu    sync.Mutex
	asked time.Duration // guarded by mu; 0: not yet
	bytes uint64        // guarded by mu
}

// atMost returns what was found such a time ago at most.
func (r *resident) atMost(age, now time.Duration) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == 0 || now-r.asked >= age {
		r.asked, r.bytes = max(now, 1), residentBytes()
	}
	return r.bytes
}

// vitals is how the node is now.
func (s *Service) vitals(unattended bool) *inspectpb.Vitals {
	rssAge := rssFor
	if unattended {
		rssAge = unattendedRSSFor
	}
	v := &inspectpb.Vitals{
		Version: s.process.version, GoVersion: runtime.Version(), Pid: s.process.pid, StartedUs: s.process.startedUs,
		CpuNs: int64(cpuTime()), RssBytes: s.resident.atMost(rssAge, s.cfg.Clock.Monotonic()),
		Processors: uint32(runtime.GOMAXPROCS(0)), //nolint:gosec // G115: positive, and small
	}
	// Both are read without stopping the world.
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples)
	for i, to := range []*uint64{&v.HeapBytes, &v.Goroutines} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			*to = samples[i].Value.Uint64()
		}
	}
	s.cfg.Vitals(v)
	return v
}
