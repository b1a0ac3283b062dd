package inspector

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
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
