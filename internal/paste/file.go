package paste

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"
)

// mark is the byte-order mark that editors on Windows write at the beginning of a UTF-8 file.
const mark = "\ufeff"

// Text returns the text of a file without a byte-order mark. A file in UTF-16 is
// refused: its text would be misread.
func Text(file []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")):
		return nil, errors.New("is in UTF-16: save it as UTF-8")
	case bytes.IndexByte(file, 0) >= 0:
		return nil, errors.New("has zero bytes, as text in UTF-16 has: save it as UTF-8")
	}
	for bytes.HasPrefix(file, []byte(mark)) {
		file = file[len(mark):]
	}
	return file, nil
}

// Line returns the first line of a file with a secret, as [Text] does, without its
// line end.
func Line(file []byte) (string, error) {
	line, _, _ := bytes.Cut(file, []byte("\n"))
	if bytes.IndexByte(file, 0) >= 0 { // in UTF-16 the line end is within a character
		line = file
	}
	text, err := Text(line)
	return strings.TrimSuffix(string(text), "\r"), err
}

// KeyPair reads a certificate and its key as PEM, which an editor or a shell on
// Windows may have written: see [Text].
func KeyPair(cert, key []byte) (tls.Certificate, error) {
	for _, text := range []*[]byte{&cert, &key} {
		clean, err := Text(*text)
		if err != nil {
			return tls.Certificate{}, err
		}
		*text = clean
	}
	return tls.X509KeyPair(cert, key)
}
