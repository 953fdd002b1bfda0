// Package testserver has the settings that only this module's own tests change of
// package neoapitest's servers.
package testserver

import (
	"os"
	"testing"
)

// StoreEnv is the environment variable that says which store tests run on.
const StoreEnv = "NEO_TEST_STORE"

// Rate is the rate of each consumer, by default what the sandbox has, too. Tests of other
// things lift it, in an init of theirs: they send more requests than a program does.
var Rate = 10

// Database returns the database that belongs to a data directory, or "" for a file in
// it. A test that imports package pgtest has its choice here.
var Database = func(t testing.TB, _ string) string {
	t.Helper()
	if store := os.Getenv(StoreEnv); store != "" && store != "sqlite" {
		t.Fatalf("%s is %s, and this package's tests run on SQLite alone", StoreEnv, store)
	}
	return ""
}
