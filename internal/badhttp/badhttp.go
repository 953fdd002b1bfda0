// Package badhttp answers HTTP requests as no service should: with half an answer, with
// none, with what is no HTTP. Whatever reads answers of others is tested with it; it is
// for tests only.
//
// Start with [Broken], which has every way in which an answer can break off.
package badhttp

import (
	"io"
	"net/http"
	"strings"
)

// Answer answers with a status and a body, and with headers as "Name: value".
func Answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Closed hangs up without an answer.
func Closed(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Silent answers nothing until the client gives up.
func Silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Short promises a longer body than it sends.
func Short(status int, body string) http.HandlerFunc {
	return Answer(status, body, "Content-Length: 1000")
}

// Cut begins a body and hangs up.
func Cut(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Answer(status, body)(w, r)
		_ = http.NewResponseController(w).Flush()
		Closed(w, r)
	}
}

// Stalled begins a body and sends no more of it until the client gives up.
func Stalled(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Answer(status, body)(w, r)
		_ = http.NewResponseController(w).Flush()
		Silent(w, r)
	}
}

// Raw sends a head as it is, whether HTTP or not, and hangs up.
func Raw(head string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, head+"\r\n\r\n")
		_ = conn.Close()
	}
}

// Broken returns answers that a client cannot read to their end, by what is wrong with
// them: those of which a whole head arrives have the status and the beginning of body. A
// word, such as a secret, is in whatever part of the others cannot be read.
func Broken(status int, body, word string) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"hangs up":               Closed,
		"is shorter than it is":  Short(status, body),
		"is cut off":             Cut(status, body),
		"is no HTTP":             Raw("code " + word + " taken"),
		"has no status":          Raw("HTTP/1.1 " + word + " taken"),
		"has an unreadable head": Raw("HTTP/1.1 200 OK\r\n" + word + " taken"),
		"has a foreign encoding": Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + word),
		"has a foreign length":   Raw("HTTP/1.1 200 OK\r\nContent-Length: " + word + "x"),
	}
}
