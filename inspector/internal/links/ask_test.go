package links_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// Who is asked to act for the cluster is a node that is well, whatever the order of addresses; one
// that is not, only where there is no other; one that has told nothing yet, never.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	m := model.New(clock.System())
	l := links.New(m, nil, clock.System())
	v := cluster.View{UUID: "a-cluster", Revision: 1}
	there := func(id string, vitals *inspectpb.Vitals) {
		v.Members = append(v.Members, cluster.MemberInfo{Incarnation: id, Address: id + ":1"})
		m.Place(v)
		if vitals != nil {
			m.Report(id, &inspectpb.WatchResponse{Vitals: vitals})
		}
	}
	for _, c := range []struct {
		id     string
		vitals *inspectpb.Vitals
		want   string
	}{
		{"A-silent", nil, ""},
		{"B-fenced", &inspectpb.Vitals{}, ""},
		{"B-stopping", &inspectpb.Vitals{ValidForNs: 1, Lease: "valid", Draining: true, Stopping: true}, "B-stopping"},
		{"C-suspect", &inspectpb.Vitals{ValidForNs: 1, Lease: "suspect"}, "C-suspect"},
		{"D-draining", &inspectpb.Vitals{ValidForNs: 1, Lease: "valid", Draining: true}, "D-draining"},
		{"E-live", &inspectpb.Vitals{ValidForNs: 1, Lease: "valid"}, "E-live"},
		{"F-live", &inspectpb.Vitals{ValidForNs: 1, Lease: "valid"}, "E-live"},
	} {
		if there(c.id, c.vitals); l.Any(m, "") != c.want {
			t.Errorf("with %s, %q is asked", c.id, l.Any(m, ""))
		}
	}
	for preferred, want := range map[string]string{
		"A-silent": "E-live", "B-fenced": "E-live", "B-stopping": "E-live", "C-suspect": "E-live", "D-draining": "D-draining", "F-live": "F-live", "nobody": "E-live",
	} {
		if got := l.Any(m, preferred); got != want {
			t.Errorf("where %s is preferred, %q is asked", preferred, got)
		}
	}
}

// A node that may hang is asked only where all others do, whatever it said last.
func TestWhoIsSilentIsAskedLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := model.New(clock.Virtual())
		l := links.New(m, nil, clock.Virtual())
		m.Place(cluster.View{UUID: "a-cluster", Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "A", Address: "a:1"}, {Incarnation: "B", Address: "b:1"}}})
		tell := func(id, lease string) {
			m.Report(id, &inspectpb.WatchResponse{Vitals: &inspectpb.Vitals{ValidForNs: int64(time.Minute), Lease: lease}})
		}
		_, _ = m.Hold(model.Interest{}) // somebody looks
		tell("A", "valid")
		time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
		if got := l.Any(m, "A"); got != "A" {
			t.Errorf("of nobody else, %q is asked", got)
		}
		tell("B", "suspect")
		if got := l.Any(m, "A"); got != "B" {
			t.Errorf("%q is asked", got)
		}
		if m.OthersLive("B") {
			t.Error("who is silent could take shards")
		}
	})
}
