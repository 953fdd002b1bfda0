package trade

// Tests do not wait as long as programs do between two looks.
func init() { haste = 50 }
