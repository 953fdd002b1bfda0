package trade

import (
	"fmt"
	"strings"
)

// String describes the order in one line: "buy 10 TCS-EQ at 3500.05, CNC".
func (t Ticket) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s", t.side, t.quantity, t.instrument.Symbol)
	if t.trigger.Known() {
		b.WriteString(", trigger " + t.trigger.String())
	}
	switch t.kind {
	case Market, StopMarket:
		b.WriteString(" at the market")
	case "":
	default:
		b.WriteString(" at " + t.price.String())
	}
	b.WriteString(", " + string(t.product))
	if t.validity != "" && t.validity != Day {
		b.WriteString(", " + string(t.validity))
	}
	if t.disclosed > 0 {
		fmt.Fprintf(&b, ", %d disclosed", t.disclosed)
	}
	if t.after {
		b.WriteString(", after market")
	}
	return b.String()
}
