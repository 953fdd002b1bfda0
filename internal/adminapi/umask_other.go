//go:build !unix

package adminapi

func narrow() (restore func()) { return func() {} }
