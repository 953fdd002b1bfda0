// Package badhttp answers HTTP requests as no service should: with half an answer, with
// none, with what is no HTTP. Whatever reads answers of others is tested with it; it is
// for tests only.
//
// Start with [BrokenOff] and [NoHTTP], which have every way in which an answer can be
// none.
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

// BrokenOff returns answers of a status that break off before body, or within it, by
// what they do.
func BrokenOff(status int, body string) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"hangs up":              Closed,
		"is shorter than it is": Short(status, body),
		"is cut off":            Cut(status, body),
	}
}

// NoHTTP returns answers that are no HTTP, by what they are. A word, such as a secret, is
// in the part that cannot be read.
func NoHTTP(word string) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"is no HTTP":             Raw("code " + word + " taken"),
		"has no status":          Raw("HTTP/1.1 " + word + " taken"),
		"has an unreadable head": Raw("HTTP/1.1 200 OK\r\n" + word + " taken"),
		"has a foreign encoding": Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + word),
		"has a foreign length":   Raw("HTTP/1.1 200 OK\r\nContent-Length: " + word + "x"),
	}
}
