package trade

// TenMillionths returns the amount in ten-millionths of a rupee, which is exact, and
// whether it is known: for programs that keep prices as integers.
func (r Rupees) TenMillionths() (n int64, known bool) { return r.value(), r.n != 0 }
