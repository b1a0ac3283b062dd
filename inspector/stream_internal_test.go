package inspector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// take is a reader of a stream that takes all at once.
type take struct {
	header http.Header
	said   func(topic string, data []byte)
}

func (t *take) Header() http.Header              { return t.header }
func (t *take) WriteHeader(int)                  {}
func (t *take) Flush()                           {}
func (t *take) SetWriteDeadline(time.Time) error { return nil }
func (t *take) Write(b []byte) (int, error) {
	topic, data := "", []byte(nil)
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			topic = strings.TrimSpace(string(rest))
		} else if rest, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			data = bytes.TrimSpace(rest)
		}
	}
	t.said(topic, data)
	return len(b), nil
}

const manyMethods = 500

// busy is what a node with many methods tells of those from one on: each is called, differently each time.
func busy(from, to, round int) *inspectpb.WatchResponse {
	r := &inspectpb.WatchResponse{Vitals: &inspectpb.Vitals{ValidForNs: 1, Lease: "valid"}, IntervalNs: int64(500 * time.Millisecond)}
	for n := from; n < to; n++ {
		latency := make([]uint64, 60)
		for i := range latency {
			latency[i] = uint64(n + i*round)
		}
		r.Methods = append(r.Methods, &inspectpb.MethodStats{Type: fmt.Sprintf("Type%d", n/50), Method: fmt.Sprintf("MethodNumber%d", n), Calls: uint64(100 * round), Latency: latency})
	}
	return r
}

// told has an inspector of a cluster tell a stream in virtual time, while the cluster does something each half second.
func told(t *testing.T, query string, rounds int, each func(m *model.Model, round int), said func(topic string, data []byte)) *model.Model {
	t.Helper()
	i := New(Config{Clock: clock.Virtual(), Logger: slog.New(slog.DiscardHandler)})
	i.model.Place(cluster.View{UUID: "u", Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "a", Address: "a:1"}}, Shards: []cluster.ShardInfo{{Owner: "a"}}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/stream?"+query, nil)
	for round := range rounds {
		each(i.model, round)
		if round == 0 {
			go func() {
				defer close(ended)
				i.stream(&take{http.Header{}, said}, r)
			}()
		}
		if round%2 == 1 {
			i.model.Tick()
		}
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // virtual time
	}
	time.Sleep(time.Minute) //nolint:forbidigo // virtual time
	i.model.Tick()
	time.Sleep(swarmPause) //nolint:forbidigo // virtual time
	synctest.Wait()        // at this moment all is told
	cancel()
	<-ended
	return i.model
}

// A tab with five hundred busy methods is told less than 200 kB a second, and all topics have their share.
func TestTabIsToldSoMuch(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"topics=overview,types,nodes,graph,events", "topics=overview,types,nodes,graph,events&changes=1"} {
		synctest.Test(t, func(t *testing.T) {
			const rounds = 60
			begun := time.Now()
			all, times := 0, map[string]int{}
			told(t, query, rounds, func(m *model.Model, round int) { m.Report("a", busy(0, manyMethods, round)) }, func(topic string, data []byte) {
				if times[topic]++; times[topic] > 1 && time.Since(begun) < rounds/2*time.Second {
					all += len(data)
				}
			})
			if rate := all / (rounds / 2); rate > 200_000 || rate < 100_000 {
				t.Errorf("%s: %d bytes a second", query, rate)
			}
			if times["types"] < rounds/8 || times["nodes"] < rounds/8 || times["overview"] < rounds/2-2 {
				t.Errorf("%s: told %v", query, times)
			}
		})
	}
}

// Who wants only changes of the types is told them, from which all can be put together; what is gone has all told anew.
func TestTypesTellWhatHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known, longest, wholes := map[string]map[string]model.Method{}, 0, 0
		m := told(t, "topics=types&changes=1", 70, func(m *model.Model, round int) {
			switch {
			case round == 40:
				m.Registered("a", []*inspectpb.TypeInfo{{Name: "Type0", Methods: []*inspectpb.MethodInfo{{Name: "New"}, {Name: "Old"}}}})
			case round == 50:
				m.Registered("a", []*inspectpb.TypeInfo{{Name: "Type0", Methods: []*inspectpb.MethodInfo{{Name: "New"}}}})
			case round < 4:
				m.Report("a", busy(0, manyMethods, round))
			default:
				m.Report("a", busy(7, 8, round%5))
			}
		}, func(topic string, data []byte) {
			if topic != "types" {
				return
			}
			var said struct{ Types, Changed []model.Type }
			if err := json.Unmarshal(data, &said); err != nil {
				t.Errorf("%v in %s", err, data)
			}
			if said.Types != nil {
				clear(known)
				wholes += min(len(said.Types), 1) // there may be none yet
			}
			for _, typ := range append(said.Types, said.Changed...) {
				if known[typ.Name] == nil {
					known[typ.Name] = map[string]model.Method{}
				}
				for _, one := range typ.Methods {
					known[typ.Name][one.Name] = one
				}
			}
			if said.Types == nil && wholes > 0 && len(said.Changed) == 1 && len(said.Changed[0].Methods) == 1 {
				longest = max(longest, len(data))
			}
		})
		want := map[string]map[string]model.Method{}
		for _, typ := range m.Types().Types {
			want[typ.Name] = map[string]model.Method{}
			for _, one := range typ.Methods {
				want[typ.Name][one.Name] = one
			}
		}
		if !reflect.DeepEqual(known, want) || len(want) != 10 || wholes != 2 {
			t.Errorf("told of %d types, there are %d; %d times of all", len(known), len(want), wholes)
		}
		if longest == 0 || longest > 1500 {
			t.Errorf("one method takes %d bytes", longest)
		}
	})
}

// Of very many events at once a stream tells all, some after the others.
func TestAllEventsOfABurstAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		told(t, "topics=events", 6, func(m *model.Model, round int) {
			if round != 2 {
				return
			}
			for n := range 3 {
				r := busy(0, 1, round)
				for i := range 1000 {
					r.Events = append(r.Events, &inspectpb.Event{Seq: uint64(1000*n + i + 1), Kind: "slow", Text: fmt.Sprint(n, i)})
				}
				m.Report("a", r)
			}
		}, func(topic string, data []byte) {
			var said struct{ Events []model.Event }
			if topic == "events" && json.Unmarshal(data, &said) != nil {
				t.Errorf("told %s", data)
			}
			for _, e := range said.Events {
				if e.Kind == "slow" {
					seen[e.Text]++
				}
			}
		})
		for text, times := range seen {
			if times != 1 {
				t.Errorf("%s is told %d times", text, times)
			}
		}
		if len(seen) != 3000 {
			t.Errorf("%d are told", len(seen))
		}
	})
}
