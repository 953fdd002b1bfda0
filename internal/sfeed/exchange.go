package sfeed

// segments are the exchanges' names, by their numbers.
var segments = [...]string{
	1: "nse_cm", 2: "nse_fo", 3: "cde_fo", 4: "nse_com", 5: "bse_cm",
	6: "bse_fo", 7: "bse_cd", 8: "bse_co", 9: "mcx_fo", 10: "ncd_co",
}

// Segment returns the name of an exchange, or "" for an unknown one.
func Segment(exchange int8) string {
	if exchange < 0 || int(exchange) >= len(segments) {
		return ""
	}
	return segments[exchange]
}

// Exchange returns the number of a segment, or 0 for an unknown one.
func Exchange(segment string) int8 {
	for i, s := range segments {
		if s == segment && s != "" {
			return int8(i)
		}
	}
	return 0
}

// defaultDivider is what a price is divided by where nothing else is said.
const defaultDivider = 100

// Divider returns what the service divides a segment's prices by.
func Divider(segment string) int64 {
	switch segment {
	case "nse_com", "bse_co":
		return 10_000
	case "cde_fo", "bse_cd":
		return 10_000_000
	case "ncd_co":
		return 1
	}
	return defaultDivider
}

// Dividers are the dividers that an [Answer] gives. The zero value has 100 for all.
type Dividers struct{ of [1 << 8]int64 }

// Of returns an exchange's divider: 100 if none was given.
func (d *Dividers) Of(exchange int8) int64 {
	if n := d.of[uint8(exchange)]; n > 0 {
		return n
	}
	return defaultDivider
}

// Set sets an exchange's divider.
func (d *Dividers) Set(exchange int8, divider int64) { d.of[uint8(exchange)] = divider }

// AllDividers returns the dividers of the service.
func AllDividers() *Dividers {
	var d Dividers
	for i, s := range segments {
		if s != "" {
			d.Set(int8(i), Divider(s))
		}
	}
	return &d
}
