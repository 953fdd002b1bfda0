package trade

// A Divider makes prices of the integers that a feed sends, in a nanosecond. The zero value
// makes unknown ones.
type Divider struct{ unit int64 } // ten-millionths of a rupee

// DividerOf returns the divider of a segment, such as 100 where prices are in paise. One
// that does not divide 10,000,000 makes unknown prices, for they would not be exact.
func DividerOf(divider int64) Divider {
	if divider <= 0 || scale%divider != 0 {
		return Divider{}
	}
	return Divider{scale / divider}
}

// Price returns n ÷ the divider. 0 stands for no price, which is unknown; so is one that
// has more than 33 bits, which no feed sends.
func (d Divider) Price(n int64) Rupees {
	if n < -1<<32 || n > 1<<32 {
		return Rupees{}
	}
	return Rupees{n * d.unit}
}

// Amount returns n ÷ the divider, where 0 is 0 rupees: a change, not a price.
func (d Divider) Amount(n int64) Rupees {
	if n == 0 && d.unit != 0 {
		return Rupees{nothing}
	}
	return d.Price(n)
}
