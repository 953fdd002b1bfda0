package sandbox

import (
	"testing"

	"neoapi/internal/login"
)

func TestDemo_accountsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]int{}
	for n := 1; n <= MaxAccounts; n++ {
		if n%10_000 > 20 && n%1_009 != 0 { // the names turn over at ten thousands
			continue
		}
		ucc, userID, mobile, pan := DemoAccount(n)
		for _, name := range []string{ucc, userID, mobile, pan} {
			if other, taken := seen[name]; taken {
				t.Fatalf("accounts %d and %d are both %s", other, n, name)
			}
			seen[name] = n
		}
		if n%10_000 < 2 {
			for kind, name := range map[login.IdentifierKind]string{login.ByUCC: ucc, login.ByUserID: userID, login.ByMobile: mobile, login.ByPAN: pan} {
				if id, err := login.ParseIdentifier(kind, name); err != nil || string(id.Value) != name {
					t.Errorf("%s of account %d: %v", kind, n, err)
				}
			}
		}
	}
}
