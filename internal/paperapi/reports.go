package paperapi

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// The wire's words for the types of package paper.
var (
	sideNames     = [...]string{paper.Buy: "B", paper.Sell: "S"}
	typeNames     = [...]string{paper.Limit: "L", paper.Market: "MKT", paper.Stop: "SL", paper.StopMarket: "SL-M"}
	productNames  = [...]string{paper.CNC: "CNC", paper.MIS: "MIS", paper.NRML: "NRML", paper.MTF: "MTF", paper.Cover: "CO", paper.Bracket: "BO"}
	validityNames = [...]string{paper.Day: "DAY", paper.IOC: "IOC"}

	optionTypes = map[listing.Kind]string{listing.Call: "CE", listing.Put: "PE", listing.Future: "XX"}
)

// list answers with rows, or that there are none.
func list(stat string, n int, each func(*row, int)) ([]byte, error) {
	if n == 0 {
		return nil, noData
	}
	r := opened(stat)
	for i := range n {
		r.element(each, i)
	}
	return r.closed(), nil
}

// orders answers with the day's orders, the newest first.
func (c *call) orders() ([]byte, error) {
	marks := c.book()
	piece := make([]paper.Order, 0, min(marks.Len(), pieceRows))
	told := make([][]byte, 0, cap(piece)) // of their instruments, which the exchange's lock guards
	return nil, c.report(&report{stat: "Ok", n: marks.Len(), read: func(from, to int) bool {
		piece, told = piece[:0], told[:0]
		for i := from; i < to; i++ {
			o, ok := marks.Order(marks.Len() - 1 - i)
			if !ok {
				return false
			}
			piece, told = append(piece, o), append(told, c.described(o.Instrument))
		}
		return true
	}, write: func(r *row, i int) { r.order(&piece[i], told[i], false) }})
}

// oneOrder answers with the order whose number follows the path.
func (c *call) oneOrder() ([]byte, error) {
	number := c.path[strings.LastIndexByte(c.path, '/')+1:]
	n, err := fields{"nOrdNo": number}.number("nOrdNo")
	if err != nil {
		return nil, err
	}
	if c.fault.Name == "" {
		o, err := c.known(n, "nOrdNo")
		if err != nil {
			return nil, err
		}
		return list("Ok", 1, func(r *row, _ int) { r.order(&o, c.described(o.Instrument), false) })
	}
	marks := c.book()
	for k := range marks.Len() {
		if o, ok := marks.Order(k); ok && o.Number == n {
			return list("Ok", 1, func(r *row, _ int) { r.order(&o, c.described(o.Instrument), false) })
		}
	}
	return nil, notValid("nOrdNo")
}

// history answers with an order's rows, the newest first.
func (c *call) history() ([]byte, error) {
	f, err := c.fields()
	if err != nil {
		return nil, err
	}
	n, err := f.number("nOrdNo")
	if err != nil {
		return nil, err
	}
	rows, refusal := c.exchange.History(c.now, c.account, n)
	if refusal != nil {
		return nil, notValid("nOrdNo")
	}
	told := c.described(rows[0].Instrument)
	return nil, c.report(written("Ok", len(rows), func(r *row, i int) { r.order(&rows[len(rows)-1-i], told, true) }))
}

// fixed are the keys of an order that mean nothing here, as the service has them in an
// order of a program.
const fixed = `"usrId":"","algId":"99999","algCat":"NA","algSeqNo":"NA","brkClnt":"NA","coPct":0,"defMktProV":"0","dscQtyPct":"0",` +
	`"exUsrInfo":"NA","expDtSsb":"-","mktPro":"0","mktProPct":"--","mktProFlg":"0","noMktProFlg":"0","mfdBy":"NA","minQty":0,` +
	`"ordAutSt":"NA","odCrt":"NA","ordValDt":"NA","refLmtPrc":0,"rptTp":"NA","reqId":"1","sipInd":"NA","symOrdId":"NA",` +
	`"classification":"0","vendorCode":"","locId":"111111111111100","appInstlId":"NA","strategyCode":"NA",`

// order adds the keys of an order as it is, or of a row of its history. instrument is
// those of [API.described].
func (r *row) order(o *paper.Order, instrument []byte, history bool) {
	state := o.State.String()
	decimals := max(2, o.Precision)
	r.text("nOrdNo", pad(o.Number))
	r.text("actId", o.Account)
	r.texts(o.Tag, "GuiOrdId", "ordModNo")
	*r = append(*r, instrument...)
	r.text("trnsTp", sideNames[o.Side])
	r.text("prod", productNames[o.Product])
	r.text("prcTp", typeNames[o.Type])
	r.price("prc", o.Price, decimals)
	r.price("trgPrc", o.Trigger, decimals)
	r.average("avgPrc", o.FilledAmount, o.Filled, decimals)
	r.number("qty", o.Quantity)
	r.number("fldQty", o.Filled)
	left, cancelled := o.Quantity-o.Filled-o.Cancelled, o.Cancelled
	if o.State == paper.Rejected {
		left, cancelled = 0, 0
	}
	r.number("unFldSz", left)
	r.number("cnlQty", cancelled)
	r.number("dscQty", o.Disclosed)
	r.text("vldt", validityNames[o.Validity])
	r.texts(state, "ordSt", "stat")
	r.text("rejRsn", cmp.Or(o.Reason, "--"))
	r.text("rmk", cmp.Or(o.Remark, "--"))
	r.text("ordSrc", "ADMINCPPAPI_"+cmp.Or(o.Source, "NEOTRADEAPI"))
	r.text("ordGenTp", map[bool]string{true: "AMO", false: "NA"}[o.AfterHours])
	r.at("ordDtTm", o.Entered, dayAndTime)
	entered := o.Placed
	if o.AfterHours && !o.Confirmed.IsZero() {
		entered = o.Confirmed // the next day
	}
	r.at("ordEntTm", entered, dayAndTime)
	r.at("exCfmTm", o.Confirmed, dayAndTime)
	r.at("hsUpTm", o.Entered, sorted)
	r.number("boeSec", o.Entered.Unix())
	r.number("updRecvTm", o.Entered.UnixNano())
	r.digits("uSec", o.Entered.UnixMilli())
	*r = append(*r, fixed...)
	if o.State == paper.Rejected {
		r.texts(o.Reason, "rejShortDesc", "rejLongDesc")
		r.text("rejAction", "")
	}
	r.text("exOrdId", o.Exchange)
	if !history {
		return
	}
	r.text("exchOrdId", o.Exchange)
	r.text("exch", exchangeOf(o.Segment))
	r.at("exchTmstp", o.Confirmed, dayAndTime)
	r.at("flDtTm", o.Entered, dayAndTime)
	r.text("ordDur", validityNames[o.Validity])
	r.digits("dclQty", o.Disclosed)
	r.text("legOrdInd", "NA")
	r.text("nReqId", "1")
	r.text("scripName", o.Description)
}

// described returns the keys that an order of an instrument has of it, made once.
func (a *API) described(i *listing.Instrument) []byte {
	if text, ok := a.descriptions[i]; ok {
		return text
	}
	if a.descriptions == nil || len(a.descriptions) > maxDescriptions {
		a.descriptions = map[*listing.Instrument][]byte{}
	}
	var r row
	r.instrument(i)
	r.text("series", i.Series)
	r.text("it", cmp.Or(i.Type, i.Series))
	a.descriptions[i] = r
	return r
}

// maxDescriptions is more than the instruments of a day.
const maxDescriptions = 10_000

// instrument adds the keys that say what is traded.
func (r *row) instrument(i *listing.Instrument) {
	r.text("exSeg", i.Segment.String())
	r.digits("tok", int64(i.Token))
	r.text("sym", i.Symbol)
	r.text("trdSym", i.Name)
	r.expiry(i)
	r.text("optTp", cmp.Or(optionTypes[i.Kind], "NA"))
	if i.Kind.Option() {
		r.price("stkPrc", i.Strike, 2)
	} else {
		r.text("stkPrc", "0.00")
	}
	r.digits("lotSz", i.Lot)
	r.digits("brdLtQty", i.Lot)
	r.price("tckSz", i.Tick, 4)
	r.factors(i)
}

func (r *row) expiry(i *listing.Instrument) {
	if i.Expiry.IsZero() {
		r.texts("NA", "expDt")
		r.text("exp", "-")
		return
	}
	r.at("expDt", i.Expiry.Start(), "02 Jan, 2006")
	r.digits("exp", i.Expiry.Start().Add(expiryHour).Unix())
}

// expiryHour is when contracts expire on their last day, as the scrip master says.
const expiryHour = 14*time.Hour + 30*time.Minute

func (r *row) factors(i *listing.Instrument) {
	r.digits("multiplier", i.Multiplier)
	r.digits("precision", int64(i.Precision))
	r.digits("genNum", i.GenNum)
	r.digits("genDen", i.GenDen)
	r.digits("prcNum", i.PriceNum)
	r.digits("prcDen", i.PriceDen)
}

// average returns what a unit cost.
func average(amount listing.Price, quantity int64) listing.Price {
	if quantity == 0 {
		return 0
	}
	half := listing.Price(quantity / 2)
	return (amount + half) / listing.Price(quantity)
}

// average adds what a unit cost, with up to four decimals if fewer do not say it.
func (r *row) average(name string, amount listing.Price, quantity int64, decimals int) {
	p := average(amount, quantity)
	for decimals < 4 && p%[...]listing.Price{10_000, 1_000, 100, 10}[decimals] != 0 {
		decimals++
	}
	r.price(name, p, decimals)
}

// scripID returns the identifier that a holding has beside its token.
func scripID(token uint32) string {
	h := fnv.New128a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(token)))
	s := hex.EncodeToString(h.Sum(nil))
	return s[:8] + "-" + s[8:12] + "-4" + s[13:16] + "-8" + s[17:20] + "-" + s[20:32]
}

func exchangeOf(s listing.Segment) string {
	switch s {
	case listing.BSE, listing.BSEDeriv:
		return "BSE"
	case listing.MCX:
		return "MCX"
	}
	return "NSE"
}

// trades answers with the day's fills, the newest first.
func (c *call) trades() ([]byte, error) {
	marks := c.fills()
	piece := make([]paper.Trade, 0, min(marks.Len(), pieceRows))
	return nil, c.report(&report{stat: "ok", n: marks.Len(), read: func(from, to int) bool {
		piece = piece[:0]
		for i := from; i < to; i++ {
			t, ok := marks.Trade(marks.Len() - 1 - i)
			if !ok {
				return false
			}
			piece = append(piece, t)
		}
		return true
	}, write: func(r *row, i int) { r.trade(&piece[i]) }})
}

// trade adds the keys of a fill.
func (r *row) trade(t *paper.Trade) {
	r.text("nOrdNo", pad(t.Order))
	r.text("exOrdId", t.Exchange)
	r.digits("flId", int64(t.ID))
	r.text("actId", t.Account)
	r.at("flDt", t.At, "02-Jan-2006")
	r.at("flTm", t.At, "15:04:05")
	r.at("exTm", t.At, dayAndTime)
	r.at("hsUpTm", t.At, sorted)
	r.number("flLeg", 1)
	r.number("fldQty", t.Quantity)
	r.number("minQty", 0)
	r.price("avgPrc", t.Price, max(2, t.Precision))
	r.text("exSeg", t.Segment.String())
	r.digits("tok", int64(t.Token))
	r.text("sym", t.Symbol)
	r.text("trdSym", t.Name)
	r.number("brdLtQty", t.Lot)
	r.text("prod", productNames[t.Product])
	r.text("trnsTp", sideNames[t.Side])
	r.text("prcTp", typeNames[t.Type])
	r.text("GuiOrdId", t.Tag)
	r.expiry(t.Instrument)
	r.text("optTp", cmp.Or(optionTypes[t.Kind], "NA"))
	r.price("stkPrc", t.Strike, 2)
}

// pad returns an order's number: it has fifteen digits.
func pad(n paper.Number) string {
	s := strconv.FormatUint(uint64(n), 10)
	if len(s) < 15 {
		s = strings.Repeat("0", 15-len(s)) + s
	}
	return s
}

// positions answers with the account's positions.
func (c *call) positions() ([]byte, error) {
	all := c.exchange.Positions(c.now, c.account)
	form := positionOfReport
	if strings.HasPrefix(c.path, "/portfolio/") {
		form = positionPriced
	}
	today := listing.DateOf(c.now).Start()
	return nil, c.report(written("ok", len(all), func(r *row, i int) { r.position(&all[i], c.account, today, form) }))
}

// A positionForm is where a position's row is.
type positionForm uint8

const (
	positionOfReport positionForm = iota
	positionPriced                // in a report with prices
	positionOfFeed                // in the order feed, which has all numbers as strings
)

// position adds the keys of a position.
func (r *row) position(p *paper.Position, account string, today time.Time, form positionForm) {
	number := r.number
	if form == positionOfFeed {
		number = r.digits
	}
	i := p.Instrument
	r.text("actId", account)
	r.text("exSeg", i.Segment.String())
	r.digits("tok", int64(i.Token))
	r.text("sym", i.Symbol)
	r.text("trdSym", i.Name)
	r.text("prod", productNames[p.Product])
	r.text("type", i.Type)
	r.text("optTp", cmp.Or(optionTypes[i.Kind], "NA"))
	r.price("stkPrc", i.Strike, 2)
	r.expiry(i)
	r.digits("lotSz", i.Lot)
	number("brdLtQty", i.Lot)
	r.factors(i)
	r.digits("cfBuyQty", p.CarriedBuy)
	r.digits("cfSellQty", p.CarriedSell)
	r.digits("flBuyQty", p.Bought)
	r.digits("flSellQty", p.Sold)
	r.price("cfBuyAmt", p.CarriedBuyAmount, 2)
	r.price("cfSellAmt", p.CarriedSellAmount, 2)
	r.price("buyAmt", p.BoughtAmount, 2)
	r.price("sellAmt", p.SoldAmount, 2)
	r.text("sqrFlg", map[bool]string{true: "N", false: "Y"}[p.Net() == 0])
	r.text("posFlg", "true")
	r.price("upldPrc", 0, 2)
	updated := p.Updated
	if updated.IsZero() { // carried
		updated = today
	}
	r.at("hsUpTm", updated, sorted)
	number("updRecvTm", updated.UnixNano())
	if form == positionPriced {
		r.price("ltp", p.Last, max(2, i.Precision))
	}
}

// holdings answers with the account's shares.
func (c *call) holdings() ([]byte, error) {
	all := c.exchange.Holdings(c.now, c.account)
	if len(all) == 0 {
		return nil, noData
	}
	r := row(`{"data":[`)
	for _, h := range all {
		r.begin()
		r.text("symbol", h.Symbol)
		r.text("displaySymbol", h.Name)
		r.number("instrumentToken", int64(h.Token))
		r.digits("exchangeIdentifier", int64(h.Token))
		r.text("exchangeSegment", h.Segment.String())
		r.text("instrumentType", "Equity")
		r.text("instrumentName", h.Description)
		r.text("series", h.Series)
		r.number("quantity", h.Quantity)
		r.number("sellableQuantity", max(0, h.Sellable))
		r.amount("averagePrice", average(h.Cost, h.Quantity), 4)
		r.amount("closingPrice", h.Close, 2)
		r.amount("holdingCost", h.Cost, 2)
		r.amount("mktValue", h.Amount(h.Last, h.Quantity), 2)
		r.text("scripId", scripID(h.Token))
		r = append(r, `"isAlternateScrip":false,`...)
		r.digits("marketLot", h.Lot)
		r.price("prevDayLtp", h.Close, 2)
		r.amount("unrealisedGainLoss", h.Amount(h.Last, h.Quantity)-h.Cost, 2)
		r.end()
		r = append(r, ',')
	}
	r[len(r)-1] = ']'
	return append(r, '}'), nil
}

// Words returns an order's side, product and price type as the wire has them.
func Words(o *paper.Order) (side, product, kind string) {
	return sideNames[o.Side], productNames[o.Product], typeNames[o.Type]
}

// ProductName returns a product as the wire has it.
func ProductName(p paper.Product) string { return productNames[p] }
