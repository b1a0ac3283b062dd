package node

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// foresight is a node with quiet objects that calls arrive at.
type foresight struct {
	*Node

	t *testing.T
}

func newForesight(t *testing.T) foresight {
	t.Helper()
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*quiet)(nil), object.TypeName("Quiet")); err != nil {
		t.Fatal(err)
	}
	n := New(Config{Registry: r, Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler), Shards: 1})
	if err := n.OpenShard(t.Context(), 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return foresight{n, t}
}

// arrive has calls of objects begin that were foreseen, after f.
func (n foresight) arrive(ids []string, f func(calls []Foreseen)) {
	n.t.Helper()
	calls := make([]Foreseen, len(ids))
	for i, id := range ids {
		calls[i] = Foreseen{ID: id, Arrival: new(Arrival)}
	}
	n.Foresee(calls)
	f(calls)
	for _, c := range calls {
		c.Arrival.Begin(n.t.Context(), n.Node, &Departure{Request: object.Request{ID: c.ID, Method: "Nothing"}})
		if _, err := c.Arrival.Run(); err != nil {
			n.t.Errorf("%s: %v", c.ID, err)
		}
		if a := n.objects.find(c.ID); a == nil || a.phase != live {
			n.t.Errorf("%s is not there after a call", c.ID)
		}
	}
}

// The objects of calls that begin soon are found if they are in memory, however many calls there are; whether they go or
// come before the call begins makes no difference to it.
func TestForesee(t *testing.T) {
	t.Parallel()
	n := newForesight(t)
	var ids []string
	for i := range 5 * together / 2 {
		ids = append(ids, fmt.Sprint("Quiet-", i))
	}
	there := func(i int) bool { return i%4 != 0 }
	for i := range 4 * segments { // others, that share places in the table with them
		n.arrive([]string{fmt.Sprint("Quiet-other", i)}, func([]Foreseen) {})
	}
	for i, id := range ids {
		if there(i) {
			n.arrive([]string{id}, func([]Foreseen) {})
		}
	}
	n.arrive(ids, func(calls []Foreseen) {
		for i, c := range calls {
			if a := c.Arrival.seen; (a != nil) != there(i) || a != nil && a.id != c.ID {
				t.Errorf("of %s %+v is seen", c.ID, a)
			}
			var err error
			switch i % 8 {
			case 0: // it comes
				_, err = n.Call(t.Context(), c.ID, "Nothing", nil)
			case 1: // it goes
				err = n.Delete(t.Context(), c.ID)
			case 2: // another one is there in its place
				if err = n.Delete(t.Context(), c.ID); err == nil {
					_, err = n.Call(t.Context(), c.ID, "Nothing", nil)
				}
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// What an arrival has seen counts for the call that it was foreseen for, and for no later one.
func TestForeseenForAnother(t *testing.T) {
	t.Parallel()
	n := newForesight(t)
	ids := []string{"Quiet-1", "Quiet-2"}
	n.arrive(ids, func([]Foreseen) {})
	used := [2]int64{}
	n.coarse.Add(1)
	for i, id := range ids {
		used[i] = n.objects.find(id).used.Load()
	}
	a := new(Arrival)
	n.Foresee([]Foreseen{{ids[0], a}})
	a.Begin(t.Context(), n.Node, &Departure{Request: object.Request{ID: ids[1], Method: "Nothing"}})
	if _, err := a.Run(); err != nil {
		t.Fatal(err)
	}
	if a.seen != nil {
		t.Error("what was seen stays")
	}
	for i, id := range ids {
		if called := n.objects.find(id).used.Load() != used[i]; called != (i == 1) {
			t.Errorf("%s was called: %t", id, called)
		}
	}
}

// Calls are foreseen while objects come and go.
func TestForeseeInAStorm(t *testing.T) {
	t.Parallel()
	n := newForesight(t)
	var ids []string
	for i := range 2 * together {
		ids = append(ids, fmt.Sprint("Quiet-", i))
	}
	var working sync.WaitGroup
	defer working.Wait()
	for k := range 4 {
		working.Go(func() {
			for i := range 2000 {
				id := ids[(i*7+k)%len(ids)]
				if k%2 == 0 {
					if err := n.Delete(t.Context(), id); err != nil {
						t.Error(err)
					}
					continue
				}
				arrivals := [2]Arrival{}
				calls := []Foreseen{{id, &arrivals[0]}, {ids[i%len(ids)], &arrivals[1]}}
				n.Foresee(calls)
				for _, c := range calls {
					c.Arrival.Begin(t.Context(), n.Node, &Departure{Request: object.Request{ID: c.ID, Method: "Nothing"}})
					if _, err := c.Arrival.Run(); err != nil {
						t.Errorf("%s: %v", c.ID, err)
					}
				}
			}
		})
	}
}
