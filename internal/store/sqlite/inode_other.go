//go:build !unix

package sqlite

import "io/fs"

func inodeOf(fs.FileInfo) string { return "" }
