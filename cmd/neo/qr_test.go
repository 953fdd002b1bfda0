package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pquerna/otp"
)

func TestEnrolment_isReadBackByAnotherLibrary(t *testing.T) {
	const seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	key, err := otp.NewKeyFromURL(enrolment("AB1234", seed))
	if err != nil {
		t.Fatal(err)
	}
	if key.Type() != "totp" || key.Secret() != seed || key.Issuer() != "Neo" || key.AccountName() != "AB1234" || key.Period() != 30 {
		t.Errorf("read back as %s %s %s", key.Type(), key.Issuer(), key.AccountName())
	}
	if u, err := url.Parse(key.URL()); err != nil || u.Query().Get("digits") != "6" || u.Query().Get("algorithm") != "SHA1" {
		t.Errorf("%v, %v", u, err)
	}
}

// The picture is a square with the three finder patterns of a QR code.
func TestQRCode_hasItsFinderPatterns(t *testing.T) {
	picture, err := qrCode(enrolment("AB1234", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]bool // each line is two
	for line := range strings.Lines(picture) {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;47m"), "\x1b[0m\n")
		var upper, lower []bool
		for _, r := range line {
			upper, lower = append(upper, r == '▀' || r == '█'), append(lower, r == '▄' || r == '█')
		}
		rows = append(rows, upper, lower)
	}
	width := len(rows[0])
	if len(rows) < width || len(rows) > width+1 {
		t.Fatalf("%d rows of %d", len(rows), width)
	}
	for _, at := range [][2]int{{2, 2}, {2, width - 9}, {width - 9, 2}} { // row, column
		for y := range 7 {
			for x := range 7 {
				ring := max(abs(x-3), abs(y-3))
				if want := ring != 2; rows[at[0]+y][at[1]+x] != want {
					t.Fatalf("no finder pattern at %v:\n%s", at, picture)
				}
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }
