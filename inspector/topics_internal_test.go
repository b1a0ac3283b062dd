package inspector

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// Where the cluster's records were replaced, a stream is told all shards anew, even if they look as at first.
func TestStreamOfAnotherCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said []string
		told(t, "topics=shards", 8, func(m *model.Model, round int) {
			place := func(uuid, owner string) {
				m.Place(cluster.View{UUID: uuid, Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "a", Address: "a:1"}}, Shards: []cluster.ShardInfo{{Owner: owner}}})
			}
			switch round {
			case 2:
				place("u", "")
			case 4:
				place("another", "a")
			case 6:
				place("a third", "")
			}
		}, func(topic string, data []byte) {
			if topic == "shards" {
				said = append(said, string(data))
			}
		})
		if len(said) != 4 {
			t.Fatalf("told %q", said)
		}
		for i, begin := range []string{`{"count":1,`, `{"changed":[[0,-1,`, `{"count":1,`, `{"count":1,`} {
			if !strings.HasPrefix(said[i], begin) {
				t.Errorf("told %q, not %s", said[i], begin)
			}
		}
		if said[2] != said[0] {
			t.Errorf("%s is not as at first, %s: the test shows too little", said[2], said[0])
		}
	})
}

// Who is interested in one thing more than can be watched is told so in that topic, all the others, and what it is
// interested in once there is room.
func TestStreamWithoutItsInterest(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"object", "graph"} {
		synctest.Test(t, func(t *testing.T) {
			var said []string
			points := 0
			var others []func()
			told(t, "topics=overview,object,graph&focus=Room-r", 16, func(m *model.Model, round int) {
				for i := 0; round == 0; i++ {
					release, err := m.Hold(model.NewInterest(true, "", fmt.Sprint("Room-", i)))
					if err != nil {
						break
					}
					others = append(others, release)
				}
				if round == 10 {
					others[0]()
				}
			}, func(name string, data []byte) {
				if name == topic {
					said = append(said, string(data))
				}
				if name == "overview" {
					points++
				}
			})
			if points < 6 || len(said) < 2 {
				t.Fatalf("%d points, told %q", points, said)
			}
			if !strings.HasSuffix(said[0], `"error":{"code":"ResourceExhausted","message":"`+model.ErrTooMany.Error()+`"}}`) {
				t.Errorf("at first %s", said[0])
			}
			for _, one := range said[1:] {
				if strings.Contains(one, `"error":`) {
					t.Errorf("then %s", one)
				}
			}
			if len(others) != 24 {
				t.Errorf("%d are watched", len(others))
			}
		})
	}
}

// Topic object begins with what nodes say of it, not with that there is none; where none answers, with that nothing is known.
func TestObjectBeginsWithWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		answer int // the round in which a node answers
		info   *inspectpb.DescribeResponse
		first  string
	}{
		{"there", 2, &inspectpb.DescribeResponse{Found: true, Info: &inspectpb.ObjectInfo{Id: "Room-r", Type: "Room"}}, `{"known":true,"object":{"id":"Room-r"`},
		{"nowhere", 2, &inspectpb.DescribeResponse{Shard: -1}, `{"known":true,"object":null`},
		{"late", 6, &inspectpb.DescribeResponse{Shard: -1}, `{"known":false,"object":null`},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun, after := time.Now(), time.Duration(0)
			var said []string
			others := 0
			told(t, "topics=nodes,object&focus=Room-r", 10, func(m *model.Model, round int) {
				if round == c.answer {
					m.Described("Room-r", "a", c.info)
				}
			}, func(topic string, data []byte) {
				switch {
				case topic == "object" && said == nil:
					after = time.Since(begun)
					said = append(said, string(data))
				case topic == "object":
					said = append(said, string(data))
				case said == nil:
					others++
				}
			})
			if len(said) == 0 || !strings.HasPrefix(said[0], c.first) {
				t.Fatalf("%s: told %q", c.what, said)
			}
			if !strings.HasPrefix(said[len(said)-1], `{"known":true`) {
				t.Errorf("%s: at last %s", c.what, said[len(said)-1])
			}
			if want := time.Duration(min(c.answer, 4)) * 500 * time.Millisecond; after < want || after > want+100*time.Millisecond || others == 0 {
				t.Errorf("%s: told after %v, behind %d of other topics", c.what, after, others)
			}
		})
	}
}
