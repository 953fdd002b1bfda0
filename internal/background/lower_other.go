//go:build !linux

package background

// lower does nothing: elsewhere a priority is the whole process's.
func lower() {}
