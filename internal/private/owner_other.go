//go:build !unix

package private

import "io/fs"

// Here a file's mode does not tell who may read it: who may is up to the
// directory, which is the user's own by default.
const (
	modes   = false
	careful = 0
)

func owned(fs.FileInfo) bool { return true }
func syncDir(string) error   { return nil }
