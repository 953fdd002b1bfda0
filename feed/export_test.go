package feed

// Readers returns how many loops and callbacks a feed has.
func (o *OrderFeed) Readers() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.readers)
}
