package sqlite

import "zombiezen.com/go/sqlite"

// Busy reports whether an error means that another process has locked the database
// for too long, so that the same may work later.
func Busy(err error) bool { return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy }
