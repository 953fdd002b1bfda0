package verify

// Forget makes a verifier forget the tokens that it has seen.
func Forget(v *Verifier) {
	v.known.tokens.Lock()
	defer v.known.tokens.Unlock()
	clear(v.known.fresh)
	v.known.old = nil
}

// Remembered returns how many revocations a verifier remembers.
func Remembered(v *Verifier) int {
	v.known.mu.RLock()
	defer v.known.mu.RUnlock()
	return len(v.known.revoked)
}
