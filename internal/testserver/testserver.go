// Package testserver has the settings that only this module's own tests change of
// package neoapitest's servers.
package testserver

import (
	"os"
	"testing"
	"time"
)

// StoreEnv is the environment variable that selects the store of the tests.
const StoreEnv = "NEO_TEST_STORE"

// Rate is the rate of each consumer, by default the sandbox's. Tests of other things
// raise it in an init: they send more requests than a program does.
var Rate = 10

// Database returns the database of a data directory, or "" for a file in it.
// Importing package pgtest in a test replaces it.
var Database = func(t testing.TB, _ string) string {
	t.Helper()
	if store := os.Getenv(StoreEnv); store != "" && store != "sqlite" {
		t.Fatalf("%s is %s, and this package's tests run on SQLite alone", StoreEnv, store)
	}
	return ""
}

// IntoTheDay returns how far to advance a clock so that the day in India does not end
// soon: at its end the exchange on paper forgets the day's orders.
func IntoTheDay(now time.Time) time.Duration {
	const soon = 10 * time.Minute
	day := 24 * time.Hour
	left := day - (time.Duration(now.Unix())*time.Second+5*time.Hour+30*time.Minute)%day
	if left > soon {
		return 0
	}
	return left + time.Second
}
