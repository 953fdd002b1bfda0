package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"neoapi/internal/store"
	"neoapi/internal/store/sqlite"
	"neoapi/internal/store/storetest"
)

var processes = storetest.Processes{
	Open:  func(ctx context.Context, path string) (store.Store, error) { return sqlite.Open(ctx, path) },
	Roles: map[string]func(path string) error{"crash": workUntilKilled, "actions": printActions},
}

func TestMain(m *testing.M) { processes.Main(m) }

func TestProcesses(t *testing.T) {
	t.Parallel()
	processes.Run(t, func(t testing.TB) string { return filepath.Join(t.TempDir(), "neo.db") })
}

// A process that opens and closes a file loses every POSIX lock that it has on
// it, and Open does so before SQLite opens it. A second Open must not cost the
// first its data: another process would believe itself alone, and its Close
// would take the log away from under the first. SQLite guards against that by
// the locks that it has on the -shm file.
func TestOpen_twiceKeepsTheLocksOfTheFirst(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	s := openAt(t, path)
	record(t, s, "first")
	openAt(t, path)
	if err := processes.Command(t.Context(), "open", path).Run(); err != nil {
		t.Fatal(err)
	}
	record(t, s, "last")

	if err := processes.Command(t.Context(), "open", path).Run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(actions(t, openAt(t, path)), " "); got != "first opened last opened" {
		t.Errorf("got events %q, want all four", got)
	}
}
