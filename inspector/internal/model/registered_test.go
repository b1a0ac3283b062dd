package model_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// While a cluster is upgraded, all methods that any node has are told, whoever told its own last; what none has any more
// is forgotten, with its figures.
func TestMethodsOfAnUpgrade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		names := func() (all []string) {
			for _, typ := range m.Types().Types {
				for _, one := range typ.Methods {
					all = append(all, typ.Name+"."+one.Name+":"+one.Mode)
				}
			}
			return all
		}
		has := func(id, mode string, methods ...string) {
			info := &inspectpb.TypeInfo{Name: "T"}
			for _, name := range methods {
				info.Methods = append(info.Methods, &inspectpb.MethodInfo{Name: name, Mode: mode})
			}
			m.Registered(id, []*inspectpb.TypeInfo{info})
		}
		m.Report("a", calls(3))
		want := func(what, want string) {
			t.Helper()
			if got := fmt.Sprint(names()); got != want {
				t.Errorf("%s: %s, not %s", what, got, want)
			}
		}
		has("a", "new", "M", "New")
		has("b", "old", "M", "Old")
		want("both", "[T.M:old T.New:new T.Old:old]")
		if m.MethodInfo("T", "New") == nil || m.MethodInfo("T", "Old") == nil {
			t.Error("a method cannot be called")
		}
		has("a", "newer", "M", "New")
		want("again", "[T.M:newer T.New:newer T.Old:old]")
		leave := func(ids ...string) {
			v := view("a", "a")
			v.Members, v.Shards = nil, nil
			for _, id := range ids {
				v.Members = append(v.Members, cluster.MemberInfo{Incarnation: id, Address: id + ":1"})
			}
			m.Place(v)
			m.Tick()
			time.Sleep(61 * time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		leave("a")
		want("the old one has left", "[T.M:newer T.New:newer]")
		if got := m.Types().Types[0].Methods[0].TotalCalls; got != 3 {
			t.Errorf("%d calls are told of", got)
		}
		leave()
		want("all have left", "[]")
	})
}
