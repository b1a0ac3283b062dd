package inspector

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// BenchmarkTab is what half a second of a tab on the busiest view takes, but for the network: what two nodes tell of calls that each
// looked at, as many as it looks at in that time, to an inspector that has known them for a window's length, and what the tab is told.
func BenchmarkTab(b *testing.B) {
	const nodes, objects, looked, rounds = 2, 5000, 375, 40
	for _, shape := range []struct {
		name string
		edge func(r *rand.Rand) (from, to string)
	}{
		{"star", func(r *rand.Rand) (from, to string) { return "", fmt.Sprint("Tally-", r.IntN(objects/2)) }}, // all calls are from outside
		{"pairs", func(r *rand.Rand) (from, to string) {
			n := r.IntN(objects)
			return fmt.Sprint("Talker-", n), fmt.Sprint("Tally-heard-", n)
		}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: the same for each run
			type message struct{ base, close []byte }
			messages := make([]message, rounds*nodes)
			for n := range messages {
				base, detail := busy(0, 3, 1), &inspectpb.WatchResponse{IntervalNs: base500}
				sums := make(map[[2]string]*inspectpb.Edge)
				for range looked {
					from, to := shape.edge(random)
					e := sums[[2]string{from, to}]
					if e == nil {
						e = &inspectpb.Edge{From: from, To: to}
						sums[[2]string{from, to}] = e
						detail.ObjectEdges = append(detail.ObjectEdges, e)
					}
					e.Calls += 64
					e.TotalNs += 64 * uint64(1000+random.IntN(5000))
				}
				base.TypeEdges = []*inspectpb.Edge{{From: "", To: "Tally", Calls: 64 * looked}, {From: "Talker", To: "Tally", Calls: looked}}
				messages[n] = message{wire(b, base), wire(b, detail)}
			}
			i := New(Config{Clock: clock.System(), Logger: slog.New(slog.DiscardHandler)})
			view := cluster.View{UUID: "u", Revision: 1, Shards: make([]cluster.ShardInfo, 8192)}
			for n := range nodes {
				view.Members = append(view.Members, cluster.MemberInfo{Incarnation: fmt.Sprint(n), Address: fmt.Sprint("n:", n)})
			}
			for n := range view.Shards {
				view.Shards[n].Owner = view.Members[n%nodes].Incarnation
			}
			i.model.Place(view)
			t, err := i.newTab(&take{http.Header{}, func(string, []byte) {}}, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/stream?topics=graph,overview,types&objects=1", nil))
			if err != nil {
				b.Fatal(err)
			}
			defer t.hold()()
			interest := model.NewInterest(true, "", "")
			half := func(round int) {
				for n := range nodes {
					m := messages[(round*nodes+n)%len(messages)]
					i.model.Report(fmt.Sprint(n), decoded(b, m.base))
					i.model.Detail(fmt.Sprint(n), interest, decoded(b, m.close))
				}
				if round%2 == 1 {
					i.model.Tick()
				}
				t.now = i.model.Versions()
				for _, topic := range t.topics {
					if t.news(topic, t.now) {
						t.topic(topic, t.now)
						t.once[topic] = true
					}
				}
			}
			for round := range rounds {
				half(round)
			}
			b.ReportAllocs()
			round := 0
			for b.Loop() {
				half(round)
				round++
			}
		})
	}
}

const base500 = 500_000_000

func wire(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	text, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func decoded(tb testing.TB, text []byte) *inspectpb.WatchResponse {
	tb.Helper()
	m := new(inspectpb.WatchResponse)
	if err := proto.Unmarshal(text, m); err != nil {
		tb.Fatal(err)
	}
	return m
}
