// Command with runs a command with one PostgreSQL cluster for all the tests that
// it runs, in NEO_TEST_POSTGRES:
//
//	go run ./internal/store/postgres/pgtest/with go test ./...
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"neoapi/internal/store/postgres/pgtest"
)

func main() {
	c, err := pgtest.New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Env = append(os.Environ(), "NEO_TEST_POSTGRES="+c.URL("postgres"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if rerr := c.Remove(); rerr != nil {
		fmt.Fprintln(os.Stderr, rerr)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
