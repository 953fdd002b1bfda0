package sqlite

import (
	"errors"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Busy reports whether an error means that another process has locked the database
// for too long, so that the same may work later.
func Busy(err error) bool {
	var migrating *driver.Error
	if errors.As(err, &migrating) && migrating.Code()&0xff == sqlite3.SQLITE_BUSY {
		return true
	}
	return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy
}
