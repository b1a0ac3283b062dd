//go:build goverse_flaws

package planted

import (
	"os"
	"reflect"
	"strings"

	"github.com/xiaonanln/goverse/internal/shard"
)

// Flaws are the guards that this build leaves out: the fields of [shard.Flaws] whose
// names are in the environment variable GOVERSE_FLAWS, with commas between them. A name
// that is none leaves out nothing: who runs mutants looks at whether they are caught.
func Flaws() shard.Flaws {
	var f shard.Flaws
	for _, name := range strings.Split(os.Getenv("GOVERSE_FLAWS"), ",") {
		if field := reflect.ValueOf(&f).Elem().FieldByName(name); field.IsValid() {
			field.SetBool(true)
		}
	}
	return f
}
