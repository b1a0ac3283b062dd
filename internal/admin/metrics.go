package admin

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many askers for the metrics are served at a time.
const maxScrapes = 4

// Stats are a server's figures at a moment.
type Stats struct {
	Objects       int            // that are active
	ObjectsByType map[string]int // … of each registered type
	Activations   uint64         // since the start
	Deactivations uint64         // since the start
	CallsWaiting  uint64         // for objects that run others
	Clients       int
	ShardsOpen    int           // own shards that are served
	ShardsBusy    int           // own shards that are being opened, drained or transferred
	ShardsUnowned int           // of the cluster
	LeaseValid    time.Duration // from now; negative counts as 0
	Ready         bool
	Fenced        bool
	Members       int // of the cluster
	Links         int // to other members
	LostPushes    LostPushes
	CallErrors    map[string]uint64 // by code
}

// LostPushes are messages pushed to clients of other servers that did not reach them, by
// why.
type LostPushes struct{ OnTheWay, Gone, Refused uint64 }

// maxTypes is how many types have a series of their own, those with the most objects. The others are one together,
// under a name that no type has.
const (
	maxTypes   = 200
	otherTypes = "(others)"
)

// collector tells Stats to Prometheus. The number of series is bounded: no label has values that objects or clients
// bring, only those of the program.
type collector struct {
	stats   func() Stats
	metrics []metric
	lost    *prometheus.Desc
	calls   *prometheus.Desc
	byType  *prometheus.Desc
}

// metric is one of the figures.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Stats) float64
}

func newCollector(stats func() Stats) *collector {
	c := &collector{
		stats: stats,
		lost: prometheus.NewDesc("goverse_lost_pushes_total",
			"Messages pushed to clients of other servers that did not reach them, by what was in the way.", []string{"reason"}, nil),
		calls: prometheus.NewDesc("goverse_call_errors_total",
			"Calls that failed on this server, or that it made and no server answered, or whose client was gone, by code.", []string{"code"}, nil),
		byType: prometheus.NewDesc("goverse_type_objects", "Objects that are active on this server, by type.", []string{"type"}, nil),
	}
	add := func(kind prometheus.ValueType, name, help string, value func(*Stats) float64) {
		c.metrics = append(c.metrics, metric{prometheus.NewDesc("goverse_"+name, help, nil, nil), kind, value})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add(gauge, "objects", "Objects that are active on this server.", func(s *Stats) float64 { return float64(s.Objects) })
	add(counter, "activations_total", "Activations of objects on this server.", func(s *Stats) float64 { return float64(s.Activations) })
	add(counter, "deactivations_total", "Ends of activations on this server.", func(s *Stats) float64 { return float64(s.Deactivations) })
	add(gauge, "calls_waiting", "Calls that wait for an object to end another one.", func(s *Stats) float64 { return float64(s.CallsWaiting) })
	add(gauge, "clients", "Clients of this server.", func(s *Stats) float64 { return float64(s.Clients) })
	add(gauge, "shards_open", "Shards that this server owns and serves.", func(s *Stats) float64 { return float64(s.ShardsOpen) })
	add(gauge, "shards_busy", "Shards that this server owns and is opening, draining or handing over.", func(s *Stats) float64 { return float64(s.ShardsBusy) })
	add(gauge, "shards_unowned", "Shards of the cluster that no living server owns, as far as this one knows.", func(s *Stats) float64 { return float64(s.ShardsUnowned) })
	add(gauge, "lease_valid_seconds", "For how long this server may answer unless its lease is renewed.", func(s *Stats) float64 { return max(s.LeaseValid, 0).Seconds() })
	add(gauge, "fenced", "Whether this server answers nobody, as its lease may have ended.", func(s *Stats) float64 { return float(s.Fenced) })
	add(gauge, "ready", "Whether this server should be given work.", func(s *Stats) float64 { return float(s.Ready) })
	add(gauge, "members", "Living servers of the cluster, as far as this one knows.", func(s *Stats) float64 { return float64(s.Members) })
	add(gauge, "links", "Other servers to which this one keeps a link.", func(s *Stats) float64 { return float64(s.Links) })
	return c
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
	ch <- c.lost
	ch <- c.calls
	ch <- c.byType
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for _, m := range c.metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s))
	}
	for reason, n := range map[string]uint64{"on_the_way": s.LostPushes.OnTheWay, "gone": s.LostPushes.Gone, "refused": s.LostPushes.Refused} {
		ch <- prometheus.MustNewConstMetric(c.lost, prometheus.CounterValue, float64(n), reason)
	}
	for code, n := range s.CallErrors {
		ch <- prometheus.MustNewConstMetric(c.calls, prometheus.CounterValue, float64(n), code)
	}
	for typ, n := range largest(s.ObjectsByType) {
		ch <- prometheus.MustNewConstMetric(c.byType, prometheus.GaugeValue, float64(n), typ)
	}
}

// largest are the types with the most objects, and the others together.
func largest(counts map[string]int) map[string]int {
	if len(counts) <= maxTypes {
		return counts
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	out := make(map[string]int, maxTypes+1)
	for i, name := range names {
		if i < maxTypes {
			out[name] = counts[name]
		} else {
			out[otherTypes] += counts[name]
		}
	}
	return out
}

// newRegistry holds the figures of the server, of Go and of the process. It is the
// service's own: what other parts of the program register for themselves (an embedded etcd
// does) is not for this page.
func newRegistry(stats func() Stats) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	err := errors.Join(
		r.Register(newCollector(stats)),
		r.Register(collectors.NewGoCollector()),
		r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		r.Register(collectors.NewBuildInfoCollector()),
	)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return r, nil
}

// metricsHandler serves the registry.
func metricsHandler(cfg Config) (http.Handler, error) {
	r, err := newRegistry(cfg.Stats)
	if err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
	}), nil
}
