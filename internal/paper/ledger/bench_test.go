package ledger_test

import (
	"testing"

	"neoapi/internal/paper/ledger"
)

// BenchmarkOrder opens and fills an order, of a share and of an option beside a hedge.
func BenchmarkOrder(b *testing.B) {
	for name, x := range map[string]struct{ buy, sell ledger.Order }{
		"share":  {order(tcs, ledger.MIS, true, 10, "100"), order(tcs, ledger.MIS, false, 10, "100")},
		"option": {order(option(12, 3, 20_700, near), ledger.NRML, true, 50, "80"), order(option(12, 3, 20_700, near), ledger.NRML, false, 50, "80")},
	} {
		b.Run(name, func(b *testing.B) {
			a := open("100000000")
			b.ReportAllocs()
			for b.Loop() {
				for _, o := range []ledger.Order{x.buy, x.sell} {
					if _, err := a.Open(o); err != nil {
						b.Fatal(err)
					}
					a.Fill(o, o.Price)
				}
			}
		})
	}
}
