package main

import (
	"fmt"
	"image/color"
	"net/url"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
)

// showSeed prints a TOTP seed, and on a terminal its QR code (security.md O5).
func (t *terminal) showSeed(ucc, seed string) error {
	picture := ""
	if t.onTerminal() {
		var err error
		if picture, err = qrCode(enrolment(ucc, seed)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.out, "%sTOTP seed, shown this once: %s\n", picture, seed)
	return err
}

// enrolment returns the URI that authenticator apps read from a QR code.
func enrolment(ucc, seed string) string {
	q := url.Values{"secret": {seed}, "issuer": {"Neo"}, "digits": {"6"}, "period": {"30"}, "algorithm": {"SHA1"}}
	return (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/Neo:" + ucc, RawQuery: q.Encode()}).String()
}

// qrCode draws a text as a QR code for a terminal: two rows a line, black on
// white whatever the terminal's colours are.
func qrCode(text string) (string, error) {
	code, err := qr.Encode(text, qr.L, qr.Auto)
	if err != nil {
		return "", err
	}
	const quiet = 2 // modules of white around it
	size := code.Bounds().Dx()
	var b strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		b.WriteString("\x1b[30;47m")
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString([]string{" ", "▄", "▀", "█"}[2*dark(code, x, y)+dark(code, x, y+1)])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}

// dark returns 1 for a black module, and 0 for a white one or outside the code.
func dark(code barcode.Barcode, x, y int) int {
	size := code.Bounds().Dx()
	if x < 0 || y < 0 || x >= size || y >= size || code.At(x, y) != color.Black {
		return 0
	}
	return 1
}
