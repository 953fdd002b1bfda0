//go:build openssl

package bench

// How the service is built that is measured.
const tags, cgo = "openssl", "1"
