package trade

// ParseOrder reads an order from one row of a report, which is an object of JSON: what a
// live feed sends as data of its frames. Package feed does so; programs can do it with rows
// that they have kept, such as [Order.Raw].
//
// It reads as the reports are read: a number may come as a string or a number, "", "NA" and
// "--" are nothing, an average of 0.00 before the first fill is unknown, and a value in
// another form costs its field, which Unread names, and never the row. Unread also names
// qty and fldQty if the row lacks them, as the service's feeds may.
//
// It fails if text is not an object. What it returns holds no part of text.
func ParseOrder(text []byte) (o Order, err error) {
	err = scanOne(string(text), orderLayout, func(r *row) { decodeOrder(r, &o) })
	if err != nil {
		return Order{}, errorf("the order cannot be read: %w", err)
	}
	return o, nil
}

// ParsePosition reads a position from one row of a report, as [ParseOrder] reads an order.
func ParsePosition(text []byte) (p Position, err error) {
	err = scanOne(string(text), positionLayout, func(r *row) { decodePosition(r, &p) })
	if err != nil {
		return Position{}, errorf("the position cannot be read: %w", err)
	}
	return p, nil
}
