package operator

// SetStep makes steps of so many lines.
func SetStep(lines int) { step = lines }

// Kinds counts the kinds of hashes in the reasons of rejected lines.
func Kinds(reasons ...string) map[string]int64 {
	var r Result
	for _, reason := range reasons {
		r.kinds([]line{{reason: reason}})
	}
	return r.Kinds
}
