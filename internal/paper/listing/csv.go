package listing

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// header has the real files' columns, with the blanks and the semicolon that they have.
const header = "pSymbol,pGroup,pExchSeg,pInstType,pSymbolName,pTrdSymbol,pOptionType,pScripRefKey,pISIN,pAssetCode,pSubGroup," +
	"pCombinedSymbol,pDesc,pAmcCode,pContractId,dTickSize ,lLotSize,lExpiryDate ,lMultiplier ,lPrecision,dStrikePrice;,pExchange," +
	"pInstName,pExpiryDate,pIssueDate,pMaturityDate,pListingDate,pNoDelStartDate,pNoDelEndDate,pBookClsStartDate,pBookClsEndDate," +
	"pRecordDate,pCreditRating,pReAdminDate,pExpulsionDate,pLocalUpdateTime,pDeliveryUnits,pPriceUnits,pLastTradingDate," +
	"pTenderPeridEndDate,pTenderPeridStartDate,pSellVarMargin,pBuyVarMargin,pInstrumentInfo,pRemarksText,pSegment,pNav,pNavDate," +
	"pMfAmt,pSipSecurity,pFaceValue,pTrdUnits,pExerciseStartDate,pExerciseEndDate,pElmMargin,pVarMargin,pTotProposedLimitValue," +
	"pScripBasePrice,pSettlementType,pCurrectionTime,iPermittedToTrade,iBoardLotQty ,iMaxOrderSize ,iLotSize,dOpenInterest ," +
	"dHighPriceRange ,dLowPriceRange ,dPriceNum   ,dGenDen,dGenNum,dPriceQuatation ,dIssuerate ,dPriceDen,dWarningQty ," +
	"dIssueCapital ,dExposureMargin ,dMinRedemptionQty ,lFreezeQty,CASEligible"

var columns = func() map[string]int {
	m := map[string]int{}
	for i, name := range strings.Split(header, ",") {
		m[strings.Trim(name, " ;")] = i
	}
	return m
}()

// WriteCSV writes a segment's scrip master in the form of the real files. base returns an
// instrument's base price of the day.
func (d *Day) WriteCSV(w io.Writer, s Segment, base func(*Instrument) Price) error {
	b := bufio.NewWriter(w)
	b.WriteString(header)
	b.WriteByte('\n')
	row := make([]string, len(columns))
	for _, i := range d.all {
		if i.Segment != s {
			continue
		}
		clear(row)
		if i.Kind == Index {
			d.fillIndex(row, i)
		} else {
			d.fill(row, i, base(i))
		}
		for n, v := range row {
			if n > 0 {
				b.WriteByte(',')
			}
			b.WriteString(v)
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}

func set(row []string, values ...string) {
	for n := 0; n < len(values); n += 2 {
		i, ok := columns[values[n]]
		if !ok {
			panic("listing: no column " + values[n])
		}
		row[i] = values[n+1]
	}
}

// fillIndex fills an index's row, which has little more than its names.
func (d *Day) fillIndex(row []string, i *Instrument) {
	set(row, "pSymbol", strconv.Itoa(int(i.Token)), "pExchSeg", i.Segment.String(), "pSymbolName", i.Symbol, "pTrdSymbol", i.Symbol,
		"pScripRefKey", i.Symbol, "pDesc", i.Symbol, "dTickSize", "-1", "lLotSize", "1", "lExpiryDate", "-1", "lMultiplier", "-1",
		"lPrecision", strconv.Itoa(i.Precision), "dStrikePrice", "-1", "iPermittedToTrade", "0", "iBoardLotQty", "1", "iMaxOrderSize", "0",
		"iLotSize", "1", "dOpenInterest", "0", "dHighPriceRange", "0", "dLowPriceRange", "0", "dPriceNum", "1", "dGenDen", "1", "dGenNum", "1",
		"dPriceQuatation", "0", "dIssuerate", "0", "dPriceDen", "1", "dWarningQty", "0", "dIssueCapital", "-1", "dExposureMargin", "0",
		"dMinRedemptionQty", "0", "lFreezeQty", "0", "CASEligible", "false")
}

func (d *Day) fill(row []string, i *Instrument, base Price) {
	low, high := i.Bands(base)
	lot := strconv.FormatInt(i.Lot, 10)
	freeze := "0"
	if i.MaxOrder > 0 {
		freeze = strconv.FormatInt(i.MaxOrder+1, 10)
	}
	set(row, "pSymbol", strconv.Itoa(int(i.Token)), "pExchSeg", i.Segment.String(), "pInstType", i.Type, "pSymbolName", i.Symbol,
		"pTrdSymbol", i.Name, "pScripRefKey", i.RefKey, "pISIN", i.ISIN, "pDesc", i.Description, "dTickSize", hundredfold(i.Tick),
		"lLotSize", lot, "lMultiplier", "-1", "lPrecision", strconv.Itoa(i.Precision), "pExchange", i.Segment.exchange(),
		"pNoDelStartDate", "0", "pNoDelEndDate", "0", "pBookClsStartDate", "0", "pBookClsEndDate", "0", "pRecordDate", "0",
		"pCreditRating", low.Decimals(i.Precision)+"-"+high.Decimals(i.Precision), "pReAdminDate", "0", "pExpulsionDate", "0",
		"pLocalUpdateTime", strconv.FormatInt(since1980(d.Date, 8, 30, 0), 10), "pScripBasePrice", base.Decimals(4),
		"iPermittedToTrade", "1", "dOpenInterest", "0", "dHighPriceRange", hundredfold(high), "dLowPriceRange", hundredfold(low),
		"dPriceNum", strconv.FormatInt(i.PriceNum, 10), "dGenDen", strconv.FormatInt(i.GenDen, 10), "dGenNum", strconv.FormatInt(i.GenNum, 10),
		"dPriceQuatation", "0", "dIssuerate", "0", "dPriceDen", strconv.FormatInt(i.PriceDen, 10), "dWarningQty", "0",
		"dExposureMargin", "0", "dMinRedemptionQty", "0", "lFreezeQty", freeze, "CASEligible", "false")
	if i.Segment.Cash() {
		set(row, "pGroup", i.Series, "lExpiryDate", "-1", "dStrikePrice", "-1", "pIssueDate", "1320969600", "pListingDate", "1320969600",
			"pSegment", "CASH", "pFaceValue", "100", "pElmMargin", "3.50", "pVarMargin", percent(i.Margin.Intraday), "pSettlementType", "T+1",
			"pCurrectionTime", "315513000", "iPermittedToTrade", "0", "iBoardLotQty", "1", "iMaxOrderSize", freeze, "iLotSize", lot,
			"dIssueCapital", float(float64(i.MaxOrder)*1e5))
		return
	}
	expires := strconv.FormatInt(expirySeconds(i), 10)
	set(row, "pOptionType", i.Kind.String(), "lExpiryDate", expires, "pExpiryDate", expires, "pMaturityDate", expires, "pInstName", i.Type,
		"pSegment", "FO", "pExerciseEndDate", expires, "pSettlementType", "Cash", "iBoardLotQty", "1",
		"iMaxOrderSize", freeze+".00", "iLotSize", lot, "dIssueCapital", "1e+12", "dExposureMargin", "1")
	if i.Kind.Option() {
		set(row, "dStrikePrice", hundredfold(i.Strike))
	}
	if i.Segment == MCX {
		set(row, "pSegment", "COM")
		if i.Kind == Future {
			set(row, "lMultiplier", "1", "pOptionType", "")
		}
		return
	}
	set(row, "pGroup", "XX")
	if i.Kind == Future {
		set(row, "pOptionType", "XX", "dStrikePrice", "-1")
	}
}

func (s Segment) exchange() string {
	switch s {
	case BSE, BSEDeriv:
		return "BSE"
	case MCX:
		return "MCX"
	default:
		return "NSE"
	}
}

func percent(hundredths int) string { return fmt.Sprintf("%.2f", float64(hundredths)/100) }

// hundredfold writes a price times a hundred: paise, and strikes as the files have them.
func hundredfold(p Price) string {
	if p%100 != 0 {
		return strings.TrimRight((p * 100).String(), "0")
	}
	return float(float64(p / 100))
}

// float writes a whole number as the real files do: 2.1e+06 from a million up, if six
// digits are enough.
func float(v float64) string {
	if s := strconv.FormatFloat(v, 'g', 6, 64); math.Abs(v) >= 1e6 {
		if back, err := strconv.ParseFloat(s, 64); err == nil && back == v {
			return s
		}
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// expirySeconds returns the Indian wall-clock time of a contract's end, written as
// seconds: since 1980 at NSE, since 1970 elsewhere.
func expirySeconds(i *Instrument) int64 {
	switch i.Segment {
	case MCX:
		return wall(i.Expiry, 23, 59, 59)
	case BSEDeriv:
		return wall(i.Expiry, 14, 30, 0)
	default:
		return since1980(i.Expiry, 14, 30, 0)
	}
}

func since1980(d Date, h, m, s int) int64 { return wall(d, h, m, s) - 315_532_800 }

func wall(d Date, h, m, s int) int64 {
	return time.Date(d.Year, d.Month, d.Day, h, m, s, 0, time.UTC).Unix()
}
