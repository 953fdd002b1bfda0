package login

// FillQueue takes all places of the queue of second factors until leave is called.
func (s *Service) FillQueue() (leave func()) {
	n := cap(s.second.places)
	for range n {
		s.second.places <- struct{}{}
	}
	return func() {
		for range n {
			<-s.second.places
		}
	}
}
