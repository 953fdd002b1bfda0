package paperapi

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"neoapi/internal/paper/listing"
	"neoapi/internal/tradewire"
)

// masters are the scrip masters of a day, written once.
type masters struct {
	date  listing.Date
	of    *listing.Day
	files map[string][]byte // by name
}

// fileNames are the names of the files, as the real service has them.
var fileNames = map[listing.Segment]string{
	listing.NSE: "nse_cm-v1.csv", listing.BSE: "bse_cm-v1.csv", listing.NSEDeriv: "nse_fo.csv",
	listing.BSEDeriv: "bse_fo.csv", listing.Currency: "cde_fo.csv", listing.MCX: "mcx_fo.csv",
}

// Public reports whether a path is that of a scrip master's file, which needs no
// credentials.
func Public(path string) bool { return strings.HasPrefix(path, tradewire.PathFiles) }

// masterFiles answers with where the scrip master's files are.
func (c *call) masterFiles() ([]byte, error) {
	scheme := c.Header.Get("X-Forwarded-Proto")
	if scheme == "" {
		scheme = "http"
	}
	folder := scheme + "://" + c.Header.Get("X-Forwarded-Host") + tradewire.PathFiles + listing.DateOf(c.now).String()
	if c.fault.Name == faultStub {
		folder += stub
	}
	var r row
	r.begin()
	r.key("data")
	r.begin()
	r.text("baseFolder", folder)
	r.key("filesPaths")
	r = append(r, '[')
	for n, s := range listing.Segments {
		if n > 0 {
			r = append(r, ',')
		}
		r = appendText(r, folder+"/"+fileNames[s])
	}
	r = append(r, ']')
	r = append(r, '}', '}')
	return r, nil
}

// stub ends the folder of files that have a header alone, as on some holidays.
const stub = "-stub"

// file answers with a file of today's scrip master. It needs no credentials, as at the
// real service, which refuses those of another day.
func (a *API) file(c *call) (int, http.Header, []byte) {
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		return c.fails(&failure{status: http.StatusMethodNotAllowed, code: codeField, text: "this path takes GET"})
	}
	day, name, _ := strings.Cut(strings.TrimPrefix(c.path, tradewire.PathFiles), "/")
	day, short := strings.CutSuffix(day, stub)
	a.mu.Lock()
	defer a.unlock()
	c.now = a.now()
	today := listing.DateOf(c.now)
	if day != today.String() {
		return c.fails(&failure{status: http.StatusForbidden, code: codeField, text: "only today's files are here: ask for their paths again"})
	}
	text, err := a.master(c, today, name)
	switch {
	case err != nil:
		return c.fails(err)
	case text == nil:
		return c.fails(&failure{status: http.StatusNotFound, code: codeField, text: "there is no such file"})
	case short:
		header, _, _ := bytes.Cut(text, []byte("\n"))
		text = append(slices.Clone(header), '\n')
	}
	return http.StatusOK, http.Header{"Content-Type": {"text/csv"}}, text
}

// master returns a file of a day's scrip master, nil if there is none of the name.
func (a *API) master(c *call, today listing.Date, name string) ([]byte, error) {
	if day := a.exchange.Listing(c.now); a.files.date != today || a.files.of != day { // a recording lists more
		a.files = masters{today, day, map[string][]byte{}}
	}
	if text, ok := a.files.files[name]; ok {
		return text, nil
	}
	for s, file := range fileNames {
		if file != name {
			continue
		}
		var b bytes.Buffer
		base := func(i *listing.Instrument) listing.Price {
			q, _ := a.exchange.Quote(c.now, i.Key)
			return q.Close
		}
		if err := a.exchange.Listing(c.now).WriteCSV(&b, s, base); err != nil {
			return nil, err
		}
		a.files.files[name] = b.Bytes()
		return b.Bytes(), nil
	}
	return nil, nil
}
