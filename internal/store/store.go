// Package store is the contract of the stores: what a database behind the service
// has to keep. Package storetest is the suite that holds a store to it.
//
// Start with [Store]; its parts are the ports of package login, each with its
// promises.
package store

import (
	"context"

	"neoapi/internal/login"
)

// A Store holds all data of a service. It is safe for concurrent use, by several
// processes too.
type Store interface {
	login.Directory
	login.Operations
	login.Keys
	login.Trail
	login.Sessions
	login.Allowances
	login.Jobs
	Once
	Close() error
}

// Once is what is decided once for a database, such as whose data it holds: small
// values by name, which never change. Each method is atomic.
type Once interface {
	// PutOnce stores value under name if nothing is there yet, and returns what is
	// there: of many processes that put under one name at once, one value remains. A
	// nil value only asks: nil if nothing is there.
	PutOnce(ctx context.Context, name string, value []byte) ([]byte, error)
	// Names returns the names below a prefix under which something is, in order.
	Names(ctx context.Context, prefix string) ([]string, error)
	// Forget removes what is under name and stores the event, or returns
	// login.ErrNotFound.
	Forget(ctx context.Context, name string, e login.Event) error
}
