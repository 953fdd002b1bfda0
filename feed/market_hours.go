package feed

import (
	"time"

	"neoapi/trade"
)

// hours are when a segment of the real service is open on a weekday, by the minute of the
// day in India, where the feed does not say. They are the shortest of the year: all that
// depends on them is when silence is suspicious.
var hours = map[trade.Segment][2]int{
	trade.NSE: {9*60 + 15, 15*60 + 15}, trade.BSE: {9*60 + 15, 15*60 + 15},
	trade.NFO: {9*60 + 15, 15*60 + 30}, trade.BFO: {9*60 + 15, 15*60 + 30},
	trade.CDS: {9 * 60, 17 * 60}, "bse_cd": {9 * 60, 17 * 60},
	trade.MCX: {9 * 60, 23*60 + 30}, "nse_com": {9 * 60, 23*60 + 30}, "bse_co": {9 * 60, 23*60 + 30}, "ncd_co": {9 * 60, 17 * 60},
}

// openByHours reports whether a segment is usually open at a time.
func openByHours(s trade.Segment, at time.Time) bool {
	at = at.In(trade.IST)
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		return false
	}
	minute := at.Hour()*60 + at.Minute()
	h := hours[s]
	return minute >= h[0] && minute < h[1]
}
