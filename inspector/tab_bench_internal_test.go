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
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// The cluster of BenchmarkTab: of its nodes each looks at so many calls in half a second.
const (
	benchNodes   = 2
	benchObjects = 5000
	benchLooked  = 375
	benchRounds  = 40
)

// BenchmarkTab is what half a second of a tab on the busiest view takes, but for the network: two nodes tell of the calls that each looked at, to an
// inspector that has known them for longer than a graph is of, and the tab is told. All calls are from outside, or each object calls one of its own.
func BenchmarkTab(b *testing.B) {
	for name, way := range map[string]func(n int) (from, to string){
		"star":  func(n int) (from, to string) { return "", fmt.Sprint("Tally-", n/2) },
		"pairs": func(n int) (from, to string) { return fmt.Sprint("Talker-", n), fmt.Sprint("Tally-heard-", n) },
	} {
		b.Run(name, func(b *testing.B) {
			bases, details := benchTold(b, way)
			i := New(Config{Clock: clock.System(), Logger: slog.New(slog.DiscardHandler)})
			i.model.Place(benchView())
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/stream?topics=graph,overview,types&objects=1", nil)
			t, err := i.newTab(&take{http.Header{}, func(string, []byte) {}}, r)
			if err != nil {
				b.Fatal(err)
			}
			defer t.hold()()
			round := 0
			half := func() {
				for n := range benchNodes {
					at := (round*benchNodes + n) % len(bases)
					i.model.Report(fmt.Sprint(n), received(b, bases[at]))
					i.model.Detail(fmt.Sprint(n), t.interest, received(b, details[at]))
				}
				if round++; round%2 == 0 {
					i.model.Tick()
				}
				t.now = i.model.Versions()
				for _, topic := range t.topics {
					if t.news(topic, t.now) && !t.topic(topic, t.now) {
						b.Fatal("the reader has gone")
					}
					t.once[topic] = true
				}
			}
			for range benchRounds {
				half()
			}
			b.ReportAllocs()
			for b.Loop() {
				half()
			}
		})
	}
}

func benchView() cluster.View {
	v := cluster.View{UUID: "u", Revision: 1, Shards: make([]cluster.ShardInfo, 8192)}
	for n := range benchNodes {
		v.Members = append(v.Members, cluster.MemberInfo{Incarnation: fmt.Sprint(n), Address: fmt.Sprint("n:", n)})
	}
	for i := range v.Shards {
		v.Shards[i].Owner = v.Members[i%benchNodes].Incarnation
	}
	return v
}

// benchTold is what nodes tell, as it comes over the network: what they always do, and with it of calls between objects.
func benchTold(b *testing.B, way func(n int) (from, to string)) (bases, details [][]byte) {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2)) // the same for each run
	for range benchRounds * benchNodes {
		detail, known := &inspectpb.WatchResponse{IntervalNs: 5e8}, make(map[int]*inspectpb.Edge)
		for range benchLooked {
			n := random.IntN(benchObjects)
			if known[n] == nil {
				known[n] = new(inspectpb.Edge)
				known[n].From, known[n].To = way(n)
				detail.ObjectEdges = append(detail.ObjectEdges, known[n])
			}
			known[n].Calls += 64
			known[n].TotalNs += 64 * uint64(1000+random.IntN(5000))
		}
		base := busy(0, 3, 1)
		base.TypeEdges = []*inspectpb.Edge{{To: "Tally", Calls: 64 * benchLooked}}
		bases, details = append(bases, sent(b, base)), append(details, sent(b, detail))
	}
	return bases, details
}

func sent(b *testing.B, m proto.Message) []byte {
	b.Helper()
	text, err := proto.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func received(b *testing.B, text []byte) *inspectpb.WatchResponse {
	b.Helper()
	m := new(inspectpb.WatchResponse)
	if err := proto.Unmarshal(text, m); err != nil {
		b.Fatal(err)
	}
	return m
}
