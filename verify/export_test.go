package verify

// Forget makes a verifier forget the tokens that it has seen.
func Forget(v *Verifier) {
	v.known.tokens.Lock()
	defer v.known.tokens.Unlock()
	clear(v.known.fresh)
	v.known.old = nil
}
