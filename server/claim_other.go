//go:build !unix

package server

import (
	"errors"
	"os"
)

// lockFile would lock a file for this process alone.
func lockFile(*os.File) error { return errors.New("not supported on this system") }
