package trade

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// longRow is a row as the exchange on paper writes it: some 90 keys.
var longRow = strings.TrimSuffix(rowOf730, "}") + `,"brdLtQty":"1","ordModNo":"mine-1","rmk":"--","ordSrc":"ADMINCPPAPI_NEOTRADEAPI","ordGenTp":"NA","uSec":"1796060873181",` +
	`"usrId":"","algId":"99999","algCat":"NA","algSeqNo":"NA","brkClnt":"NA","coPct":0,"defMktProV":"0","dscQtyPct":"0","exUsrInfo":"NA","expDtSsb":"-","mktPro":"0","mktProPct":"--",` +
	`"mktProFlg":"0","noMktProFlg":"0","mfdBy":"NA","minQty":0,"ordAutSt":"NA","odCrt":"NA","ordValDt":"NA","refLmtPrc":0,"rptTp":"NA","reqId":"1","sipInd":"NA","symOrdId":"NA",` +
	`"classification":"0","vendorCode":"","locId":"111111111111100","appInstlId":"NA","strategyCode":"NA"}`

// A row of an order book of 500, beside encoding/json into a struct of the same fields.
func BenchmarkOrders(b *testing.B) {
	for _, x := range []struct{ name, row string }{{"730 bytes", rowOf730}, {"1.4 kB", longRow}} {
		text := json.RawMessage("[" + strings.TrimSuffix(strings.Repeat(x.row+",", 500), ",") + "]")
		b.Run(x.name+"/trade", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if all, err := rows("", text, orderLayout, decodeOrder); err != nil || len(all) != 500 {
					b.Fatal(len(all), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/row")
		})
		b.Run(x.name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var all []struct {
					NOrdNo, ExOrdId, GuiOrdId, ExSeg, Tok, TrdSym, Sym, Series, TrnsTp, Prod, PrcTp, Vldt, Prc, TrgPrc, AvgPrc, OrdSt, RejRsn string
					OrdEntTm, ExCfmTm, OrdDtTm, HsUpTm                                                                                        string
					Qty, FldQty, UnFldSz, CnlQty, DscQty, UpdRecvTm                                                                           int64
				}
				if err := json.Unmarshal(text, &all); err != nil || len(all) != 500 {
					b.Fatal(len(all), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/row")
		})
	}
}

func BenchmarkTime(b *testing.B) {
	r := row{values: []value{{text: "22-Jan-2025 14:28:01", kind: kindString}}}
	b.Run("trade", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.at(0).IsZero() {
				b.Fatal("no time")
			}
		}
	})
	b.Run("time.ParseInLocation", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := time.ParseInLocation("02-Jan-2006 15:04:05", "22-Jan-2025 14:28:01", IST); err != nil {
				b.Fatal(err)
			}
		}
	})
}
