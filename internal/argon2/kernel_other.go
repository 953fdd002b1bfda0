//go:build !amd64 || purego

package argon2

// kernels returns those that this machine has, the best first.
func kernels() []kernel { return []kernel{generic} }
