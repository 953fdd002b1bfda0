package claims_test

import (
	"os"
	"strings"
	"testing"

	"neoapi/internal/claims"
	"neoapi/internal/must"
)

// The example in docs/verify.md is for those who do it in another language.
func TestTradeID_followsFromTheSID(t *testing.T) {
	const sid = "b3ebb6af-7205-43e9-8513-189472393cab"
	text := must.Get(os.ReadFile("../../docs/verify.md"))(t)
	if id := claims.TradeID(sid); !strings.Contains(string(text), sid) || !strings.Contains(string(text), "`"+id+"`") {
		t.Errorf("docs/verify.md does not say that %s gives %s", sid, id)
	}
	if claims.TradeID(sid) == claims.TradeID(strings.ToUpper(sid)) {
		t.Error("two sids have one id")
	}
}
