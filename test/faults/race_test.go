//go:build linux && race

package faults

func init() { buildFlags = append(buildFlags, "-race") }
