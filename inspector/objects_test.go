package inspector_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A page far down is right, and costs a node one look at its objects; one that tells less at a time is asked again.
func TestDeepPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	var all []string
	for n := range 12_000 {
		all = append(all, fmt.Sprintf("Room-%d", n))
	}
	slices.Sort(all)
	for n, id := range all {
		[]*fake{a, b}[n%7%2].has(id)
	}
	w.cluster(a, b)
	type page struct {
		Objects []struct{ ID string }
		Total   uint64
		Missing []string
	}
	w.await("nodes", func() bool { return get[page](w, "/api/objects?limit=0").Total == 12_000 })
	for _, c := range []struct{ most, searches, offset int }{{0, 1, 10_000}, {1000, 7, 9999}} {
		var p page
		w.await("answer of both nodes", func() bool { // which may be too slow once
			for _, f := range []*fake{a, b} {
				f.mu.Lock()
				f.searches, f.most = 0, c.most
				f.mu.Unlock()
			}
			code, body, _ := w.request(http.MethodGet, fmt.Sprintf("/api/objects?limit=1000&offset=%d", c.offset), "")
			return code == http.StatusOK && json.Unmarshal([]byte(body), &p) == nil && len(p.Missing) == 0
		})
		var ids []string
		for _, o := range p.Objects {
			ids = append(ids, o.ID)
		}
		if p.Total != 12_000 || !slices.Equal(ids, all[c.offset:c.offset+1000]) {
			t.Errorf("told %d at a time: %d of %d, from %v", c.most, len(ids), p.Total, ids[:min(len(ids), 3)])
		}
		for _, f := range []*fake{a, b} {
			f.mu.Lock()
			if f.searches > c.searches {
				t.Errorf("%s was asked %d times, %d are enough", f.id, f.searches, c.searches)
			}
			f.mu.Unlock()
		}
	}
}

// An object that may be with a node that hangs is not said to be nowhere.
func TestObjectOfWhoHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	b.mute = true
	w.cluster(a, b)
	w.live(a, b)
	if code, body, _ := w.request(http.MethodGet, "/api/objects/User-u", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "Unavailable") {
		t.Errorf("%d %s", code, body)
	}
	a.has("User-u")
	if d := get[struct{ Object *struct{ Node string } }](w, "/api/objects/User-u"); d.Object == nil || d.Object.Node != "AAA" {
		t.Errorf("it is at %+v", d.Object)
	}
}

// Who asks for an object again and again, without a stream, has it watched.
func TestObjectWithoutStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	a.has("Room-r")
	w.cluster(a)
	w.live(a)
	w.await("turns and callers", func() bool {
		d := get[struct{ Turns, Callers []any }](w, "/api/objects/Room-r")
		return len(d.Turns) > 0 && len(d.Callers) > 0
	})
}

// A node that is busy with other searches is told as such, and the others' objects all the same.
func TestSearchBesideBusyNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFake(t, "AAA"), newFake(t, "BBB")
	a.has("Room-r")
	b.busy = true
	w.cluster(a, b)
	w.live(a, b)
	p := get[struct {
		Objects       []struct{ ID string }
		Missing, Busy []string
	}](w, "/api/objects")
	if len(p.Objects) != 1 || !slices.Equal(p.Missing, []string{"BBB"}) || !slices.Equal(p.Busy, p.Missing) {
		t.Errorf("%+v", p)
	}
	if code, body, _ := w.request(http.MethodGet, "/api/objects?node=BBB", ""); code != http.StatusTooManyRequests || !strings.Contains(body, "ResourceExhausted") {
		t.Errorf("of it alone: %d %s", code, body)
	}
}

// Who has acted, and who knows that a node has gone, is not answered with what was found before.
func TestSearchAfterAChange(t *testing.T) {
	t.Parallel()
	w, _, b := actors(t, true)
	total := func() uint64 { return get[struct{ Total uint64 }](w, "/api/objects").Total }
	before := total()
	if before == 0 {
		t.Fatal("nothing is found")
	}
	b.mu.Lock()
	b.objects = b.objects[1:]
	b.mu.Unlock()
	if code, text, _ := w.request(http.MethodPost, "/api/actions/call", `{"id":"Room-b","method":"Say","request":"go","confirm":"Room-b"}`); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	if after := total(); after != before-1 {
		t.Errorf("%d objects are found, after %d", after, before)
	}
	w.del("nodes/BBB")
	w.await("the node to go", func() bool { return total() == 0 })
}
