package serve

import (
	"strings"
	"testing"
	"time"
)

func TestClock_thatIsFarFromTheDatabaseServersIsRefused(t *testing.T) {
	there := time.Date(2031, time.March, 4, 5, 6, 7, 0, time.UTC)
	for ahead, want := range map[time.Duration]string{
		0: "", time.Minute: "", -time.Minute: "", time.Hour: "1h0m0s ahead of", -2 * time.Minute: "2m0s behind",
	} {
		err := apart(there.Add(ahead), there)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ahead, err, want)
		}
	}
}
