package paperapi

import (
	"strconv"
	"strings"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// fixedLimits are keys of the limits of a cash account that mean nothing here.
var fixedLimits = func() string {
	text := `"EntityId":"","BoardLotLimit":"5000","SlbmVarElm":"","SlbmMtom":"","LendingFee":"",`
	for _, name := range strings.Fields(`AdhocLimitMult CollateralValueMult NationalCashMult RmsCollateralMult`) {
		text += `"` + name + `":"1",`
	}
	for _, name := range strings.Fields(`AddMrgnMisPrsnt AddMrgnNrmlPrsnt AddPreExpMrgnMisPrsnt AddPreExpMrgnNrmlPrsnt AdhocMargin AmountUtilizedPrsnt AmtUntilizedPrsnt
		AuxAdhocMargin AuxNotionalCash AuxRmsCollateral BrokeragePrsnt CashRlsMtomPrsnt CashUnRlsMtomPrsnt CdsSpreadBenefit
		CncMrgnVarPrsnt CncSellcrdPresent ComExpsrMrgnMisPrsnt ComExpsrMrgnNrmlPrsnt ComRlsMtomPrsnt ComSpanMrgnMisPrsnt
		ComSpanMrgnNrmlPrsnt ComUnRlsMtomPrsnt CurExpMrgnMisPrsnt CurExpMrgnNrmlPrsnt CurPremiumMisPrsnt CurPremiumNrmlPrsnt
		CurRlsMtomPrsnt CurSpanMrgnMisPrsnt CurSpanMrgnNrmlPrsnt CurUnRlsMtomPrsnt DaneLimit DeliveryMarginPresent DeliveryMrgnMisPrsnt
		DeliveryMrgnNrmlPrsnt FoExpMrgnMisPrsnt FoExpMrgnNrmlPrsnt FoPremiumMisPrsnt FoPremiumNrmlPrsnt FoRlsMtomPrsnt FoSpanrgnMisPrsnt
		FoSpanrgnNrmlPrsnt FoUnRlsMtomPrsnt MarginScripBasketPrsnt MarginVarPrsnt MarginWarningPrcntPrsnt MrgnScrpBsktCncPrsnt
		MrgnScrpBsktMisPrsnt MrgnScrpBsktNrmlPrsnt MrgnVarMisPrsnt MrgnVarNrmlPrsnt MtomSquareOffWarningPrcntPrsnt MtomWarningPrcntPrsnt
		NfospreadBenefit NotionalCash RmsCollateral RmsIpoAmt RmsMutualFundAmt RmsPayInAmt RmsPayOutAmt SlbmLimit SpecialMarginPrsnt
		SplMrgnMisPrsnt SplMrgnNrmlPrsnt TenderMrgnMisPrsnt TenderMrgnNrmlPrsnt`) {
		text += `"` + name + `":"0",`
	}
	return text
}()

// limits answers with the account's money. What it asks for by segment, or does not say, is
// answered for all of them: an account has one cash box.
func (c *call) limits() ([]byte, error) {
	f, err := c.fields()
	if err != nil {
		return nil, err
	}
	read := reader{f: f, err: &err}
	pick(read, "seg", anyOf("", "cash", "cur", "fo", "all", "comm", "com"))
	pick(read, "exch", anyOf("", "nse", "bse", "mcx", "all"))
	pick(read, "prod", anyOf("", "cnc", "mis", "nrml", "mtf", "co", "bo", "all"))
	if err != nil {
		return nil, err
	}
	l := c.exchange.Limits(c.now, c.account)
	r := make(row, 0, 4096)
	r.begin()
	r.text("stat", "Ok")
	r.number("stCode", 200)
	r.text("Category", "CLIENT")
	r.price("Net", l.Net, 2)
	r.price("MarginUsed", l.Used, 2)
	r.price("CollateralValue", l.Cash, 2)
	r.price("Collateral", l.Pledged, 2)
	r.price("RealizedMtomPrsnt", l.Realized, 2)
	r.price("UnrealizedMtomPrsnt", l.Unrealized, 2)
	r.price("MarginUsedPrsnt", l.Used, 2)
	r.price("SpanMarginPrsnt", l.Span, 2)
	r.price("ExposureMarginPrsnt", l.Exposure, 2)
	r.price("PremiumPrsnt", l.Premium, 2)
	r = append(r, fixedLimits...)
	r.digits("TimeStamp", c.now.UnixMilli())
	r.end()
	return r, nil
}

func anyOf(values ...string) map[string]bool {
	all := map[string]bool{}
	for _, v := range values {
		all[v] = true
	}
	return all
}

// margin answers with what an order would need.
func (c *call) margin() ([]byte, error) {
	f, err := c.fields()
	if err != nil {
		return nil, err
	}
	p, err := c.marginOrder(f)
	if err != nil {
		return nil, err
	}
	n, refusal := c.exchange.Margin(c.now, p)
	if refusal != nil {
		return nil, refused(refusal)
	}
	l := c.exchange.Limits(c.now, c.account)
	r := make(row, 0, 512)
	r.begin()
	r.text("stat", "Ok")
	r.number("stCode", 200)
	r.text("rmsVldtd", map[bool]string{true: "OK", false: "NOT_OK"}[n.Short == 0])
	r.price("avlCash", l.Cash, 6)
	r.price("avlMrgn", n.Available, 6)
	r.price("totMrgnUsd", n.Total, 6)
	r.price("mrgnUsd", n.Used, 6)
	r.price("ordMrgn", max(0, n.Order), 6)
	r.price("reqdMrgn", n.Short, 6)
	r.price("insufFund", n.Short, 6)
	r.end()
	return r, nil
}

// marginOrder reads the order of a margin check.
func (c *call) marginOrder(f fields) (p paper.Place, err error) {
	segment, err := choice(f, "exSeg", segments)
	if err != nil {
		return p, err
	}
	token, err := strconv.ParseUint(strings.TrimSpace(f["tok"]), 10, 32)
	i, ok := c.exchange.Listing(c.now).Find(listing.Key{Segment: segment, Token: uint32(token)})
	if err != nil || !ok {
		return p, notValid("tok")
	}
	p = paper.Place{Account: c.account, Instrument: i.Key, Validity: paper.Day}
	read := reader{f: f, err: &err}
	p.Side = pick(read, "trnsTp", sides)
	p.Type = pick(read, "prcTp", priceTypes)
	p.Product = pick(read, "prod", products)
	p.Price = take(read, "prc", f.price)
	p.Quantity = take(read, "qty", func(field string) (int64, error) { return f.quantity(field, 1) })
	p.Trigger = maybe(read, "trgPrc", 0, f.price)
	return p, err
}
