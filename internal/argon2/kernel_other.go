//go:build !amd64 || purego

package argon2

// kernels returns the kernels that this machine supports, best first.
func kernels() []kernel { return []kernel{generic} }
