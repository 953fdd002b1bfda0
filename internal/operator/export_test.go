package operator

// SetStep makes steps of so many lines.
func SetStep(lines int) { step = lines }
