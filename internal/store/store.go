// Package store is the contract of the stores: what a database behind the service
// must guarantee. Package storetest is the suite that checks a store against it.
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

// Once has what is decided once for a database, such as the kind of its data: small
// named values that never change. Each method is atomic.
type Once interface {
	// PutOnce stores value under name if there is none yet, and returns the stored
	// value: if several processes do so at once, one value remains. A nil value only
	// reads, and returns nil if there is none.
	PutOnce(ctx context.Context, name string, value []byte) ([]byte, error)
	// Names returns the stored names with a prefix, in order.
	Names(ctx context.Context, prefix string) ([]string, error)
	// Forget removes the value under name and stores the event, or returns
	// login.ErrNotFound.
	Forget(ctx context.Context, name string, e login.Event) error
}
