//go:build !amd64 || purego

package argon2

func kernels() []kernel { return []kernel{generic} }
