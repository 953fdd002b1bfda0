package sandbox_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/must"
	"neoapi/internal/sandbox"
	"neoapi/internal/store/sqlite"
)

// A store that does not answer, or has no time left to, makes a page say 503, not 500.
func TestSandbox_saysThatItsStoreDoesNotAnswer(t *testing.T) {
	t.Parallel()
	store := must.Get(sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "neo.db")))(t)
	defer store.Close()
	box := &sandbox.Sandbox{Inbox: &sandbox.Inbox{}, Directory: store, Live: func(context.Context, login.Message) (bool, error) { return true, nil }}
	for _, path := range []string{"/sandbox/otp/TESTYA24", "/sandbox/totp/TESTYA24"} {
		page, ok := box.Page(path)
		if !ok {
			t.Fatalf("there is no %s", path)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err := page.Handle(httptest.NewRequestWithContext(gone, "GET", "http://127.0.0.1"+path, nil))
		if refused, ok := errors.AsType[*login.Error](err); !ok || refused.Kind != login.KindUnavailable {
			t.Errorf("%s: %v, want one of KindUnavailable", path, err)
		}
	}
}
