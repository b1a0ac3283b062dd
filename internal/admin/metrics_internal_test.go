package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Every figure is told under its name, and Prometheus' rules for names are kept.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r, err := newRegistry(func() Stats {
		return Stats{
			Objects: 1, Activations: 2, Deactivations: 3, CallsWaiting: 4, Clients: 5, ShardsOpen: 6, ShardsBusy: 7, ShardsUnowned: 8,
			LeaseValid: 9500 * time.Millisecond, Fenced: true, Members: 10, Links: 11, LostPushes: LostPushes{OnTheWay: 12, Gone: 13, Refused: 14},
			ObjectsByType: map[string]int{"Room": 15, "User": 16},
			CallErrors:    map[string]uint64{"aborted": 17, "internal": 18},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	got := make(map[string]float64)
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "goverse_") {
			continue
		}
		for _, m := range family.GetMetric() {
			key := family.GetName()
			for _, label := range m.GetLabel() {
				key += "/" + label.GetName() + "=" + label.GetValue()
			}
			got[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"goverse_objects": 1, "goverse_activations_total": 2, "goverse_deactivations_total": 3, "goverse_calls_waiting": 4,
		"goverse_clients": 5, "goverse_shards_open": 6, "goverse_shards_busy": 7, "goverse_shards_unowned": 8,
		"goverse_lease_valid_seconds": 9.5, "goverse_fenced": 1, "goverse_ready": 0, "goverse_members": 10, "goverse_links": 11,
		"goverse_type_objects/type=Room": 15, "goverse_type_objects/type=User": 16,
		"goverse_call_errors_total/code=aborted": 17, "goverse_call_errors_total/code=internal": 18,
		"goverse_lost_pushes_total/reason=on_the_way": 12, "goverse_lost_pushes_total/reason=gone": 13, "goverse_lost_pushes_total/reason=refused": 14,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d series, want %d: %v", len(got), len(want), got)
	}
}

// A program with very many types does not have as many series: those with few objects are one.
func TestSeriesOfTypesAreBounded(t *testing.T) {
	t.Parallel()
	counts := make(map[string]int)
	for i := range 1000 {
		counts[fmt.Sprintf("Type%d", i)] = i
	}
	got := largest(counts)
	if len(got) != maxTypes+1 || got["Type999"] != 999 || got["Type800"] != 800 || got[otherTypes] != 800*799/2 {
		t.Errorf("%d series, %d of others, %d and %d", len(got), got[otherTypes], got["Type999"], got["Type800"])
	}
}
