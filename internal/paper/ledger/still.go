package ledger

// Still reports whether the end of a day would change nothing: nobody has a position, or
// shares that are still to come.
func (l *Ledger) Still() bool {
	for _, a := range l.Accounts() {
		if len(a.order) > 0 {
			return false
		}
		for _, h := range a.holdings {
			if h.t1 > 0 {
				return false
			}
		}
	}
	return true
}
