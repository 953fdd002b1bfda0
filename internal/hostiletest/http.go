package hostiletest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const fewBodies = 4

// HTTP returns the modes of HTTP servers.
func HTTP() []Mode {
	modes := []Mode{
		{"silent", true, func(c *conn) { c.hold() }},
		{"silent after the request", true, answering(func(c *conn) { c.hold() })},
		{"a head, a byte at a time", true, answering(func(c *conn) { c.trickle("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 1<<12)) })},
		{"a first line without end", false, answering(func(c *conn) { c.say("HTTP/1.1 200 "); c.flood("x") })},
		{"a version without end", false, answering(func(c *conn) { c.flood("HTTP") })},
		{"a head without end", false, answering(func(c *conn) { c.say("HTTP/1.1 200 OK\r\n"); c.flood("X: y\r\n") })},
		{"a head of empty names without end", false, answering(func(c *conn) { c.say("HTTP/1.1 200 OK\r\n"); c.flood("a:\r\n") })},
		{"a line of the head without end", false, answering(func(c *conn) { c.say("HTTP/1.1 200 OK\r\nX: "); c.flood("y") })},
		{"a folded line of the head without end", false, answering(func(c *conn) { c.say("HTTP/1.1 200 OK\r\nX: y\r\n"); c.flood(" y\r\n") })},
		{"answers 103 without end", false, answering(func(c *conn) { c.flood("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") })},
		{"answers 100 without end", false, answering(func(c *conn) { c.flood("HTTP/1.1 100 Continue\r\n\r\n") })},
		{"answers 102, slowly", true, answering(func(c *conn) { c.trickle("HTTP/1.1 102 Processing\r\n\r\n") })},
		{"101 and held", false, switching(func(c *conn) { c.hold() })},
		{"101 and flooded", false, switching(func(c *conn) { c.flood("x") })},
		{"101 and a byte at a time", false, switching(func(c *conn) { c.trickle("x") })},
		{"101 without a protocol, and held", false, answering(func(c *conn) { c.say("HTTP/1.1 101 Switching Protocols\r\n\r\n"); c.hold() })},
		{"101 with a length, and held", false, answering(func(c *conn) {
			c.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 100\r\n\r\n")
			c.hold()
		})},
		{"reset at once", false, func(c *conn) { c.reset() }},
		{"reset after the request", false, answering(func(c *conn) { c.reset() })},
		{"reset in the head", false, answering(func(c *conn) { c.say("HTTP/1.1 200 OK\r\nContent-"); c.reset() })},
		{"no HTTP", false, answering(func(c *conn) { c.flood("\x00\xff\r\n") })},
		{"ends after the request", false, answering(func(c *conn) {})},
		{"an answer, and more than it", false, answering(func(c *conn) {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			c.flood("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		})},
	}
	for _, status := range []int{200, 204, 302, 401, 503} {
		for i, body := range bodies {
			if status != 200 && i >= fewBodies {
				break
			}
			modes = append(modes, Mode{strconv.Itoa(status) + " and " + body.name, body.endless, answering(func(c *conn) {
				if c.say("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\nLocation: /elsewhere\r\n") {
					body.serve(c)
				}
			})})
		}
	}
	return modes
}

// bodies follow a status line: all of them one with 200, the first fewBodies any other.
var bodies = []struct {
	name    string
	endless bool
	serve   func(c *conn)
}{
	{"a body that does not come", true, func(c *conn) { c.say("Content-Length: 100\r\n\r\n"); c.hold() }},
	{"a body without end", false, func(c *conn) { c.say("\r\n"); c.flood(" ") }},
	{"one chunk without end", false, func(c *conn) { c.say("Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n"); c.flood(" ") }},
	{"a gigabyte of blanks, compressed", false, func(c *conn) { c.say("Content-Encoding: gzip\r\n\r\n"); c.send(bomb()) }},
	{"a body, a byte at a time", true, func(c *conn) { c.say("\r\n"); c.trickle(" ") }},
	{"the longest of bodies", false, func(c *conn) { c.say("Content-Length: 9223372036854775807\r\n\r\n"); c.flood(" ") }},
	{"a body that is reset", false, func(c *conn) { c.say("Content-Length: 100\r\n\r\n{"); c.reset() }},
	{"chunks without end", false, func(c *conn) {
		c.say("Transfer-Encoding: chunked\r\n\r\n")
		c.flood("400\r\n" + strings.Repeat(" ", 1<<10) + "\r\n")
	}},
	{"a chunk's extension without end", false, func(c *conn) { c.say("Transfer-Encoding: chunked\r\n\r\n4;x="); c.flood("y") }},
	{"extensions without end", false, func(c *conn) {
		c.say("Transfer-Encoding: chunked\r\n\r\n")
		c.flood("1;" + strings.Repeat("x", 4000) + "\r\n \r\n")
	}},
	{"a chunk that does not come", true, func(c *conn) { c.say("Transfer-Encoding: chunked\r\n\r\n4\r\n{"); c.hold() }},
	{"a chunk that is reset", false, func(c *conn) { c.say("Transfer-Encoding: chunked\r\n\r\n4\r\n{"); c.reset() }},
	{"trailers without end", false, func(c *conn) { c.say("Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n"); c.flood("X: y\r\n") }},
	{"a trailer without end", false, func(c *conn) { c.say("Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: "); c.flood("y") }},
	{"a trailer that does not come", true, func(c *conn) { c.say("Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n"); c.hold() }},
	{"compressed blocks of nothing, without end", true, func(c *conn) {
		c.say("Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
		c.flood("\x00\x00\x00\xff\xff")
	}},
}

// bomb returns a gigabyte of blanks, compressed to a megabyte.
var bomb = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
	_ = w.Close()
	return bytes.Repeat(out.Bytes(), 1<<10) // gzip readers continue with the next stream
})

// TLS returns the modes of servers that misbehave in the TLS handshake.
func TLS() []Mode {
	return []Mode{
		{"TLS: silent", true, func(c *conn) { c.hold() }},
		{"TLS: reset", false, func(c *conn) { c.reset() }},
		{"TLS: no TLS", false, func(c *conn) { c.flood("x") }},
		{"TLS: a byte at a time", true, func(c *conn) { c.trickle("\x16\x03\x03\x40\x00" + strings.Repeat("\x02\x00\xff\xff", 1<<12)) }},
		{"TLS: a handshake without end", false, func(c *conn) { c.flood("\x16\x03\x03\x40\x00" + strings.Repeat("\x02\x00\xff\xff", 1<<12)) }},
		{"TLS: alerts without end", false, func(c *conn) { c.flood("\x15\x03\x03\x00\x02\x01\x5a") }},
	}
}

// answering reads a request and lets answer reply.
func answering(answer func(c *conn)) func(c *conn) {
	return func(c *conn) {
		if !c.secure() {
			return
		}
		r, err := http.ReadRequest(c.in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			answer(c)
		}
	}
}

// switching answers 101 and then lets speak use the connection.
func switching(speak func(c *conn)) func(c *conn) {
	return answering(func(c *conn) {
		if c.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n") {
			speak(c)
		}
	})
}
