//go:build !unix

package pgtest

import "os/exec"

type owner struct{}

func findOwner() (*owner, error) { return nil, errMissing } // a cluster needs a Unix socket and a shell

func (o *owner) as(cmd *exec.Cmd) *exec.Cmd { return cmd }

func (o *owner) give(string) error { return nil }
