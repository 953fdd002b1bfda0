//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// readHidden reads a line from a terminal without echo, and without its line end. The
// end of input, Ctrl-D, is io.EOF, which term.ReadPassword would wait beyond.
func readHidden(fd int) (line []byte, err error) {
	echoing, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *echoing
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, setTermios, echoing)) }()
	buffer := make([]byte, 4096) // a terminal returns at most one line at a time
	for {
		n, err := unix.Read(fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		case n == 0 && len(line) == 0:
			return nil, io.EOF
		case n == 0:
			return line, nil
		}
		line = append(line, buffer[:n]...)
		if typed, ended := bytes.CutSuffix(line, []byte("\n")); ended {
			return typed, nil
		}
	}
}
