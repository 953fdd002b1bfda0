package neoapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// child runs this test binary as another process, which does what role says.
func child(t *testing.T, role string, env ...string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	self := must.Get(os.Executable())(t)
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), append(env, "NEOAPI_TEST_ROLE="+role)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	pipe, err2 := cmd.StdoutPipe()
	must.Do(t, errors.Join(err, err2, cmd.Start()))
	t.Cleanup(func() {
		in.Close()
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd, in, bufio.NewReader(pipe)
}

func TestMain(m *testing.M) {
	switch os.Getenv("NEOAPI_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "try a full disk":
		f, err := NewFileStore(filepath.Join(os.Getenv("STORE"), "session"))
		if err == nil {
			err = f.Writable(context.Background())
		}
		fmt.Println(err)
	case "hold the lock":
		f, err := NewFileStore(os.Getenv("STORE"))
		var unlock func()
		if err == nil {
			unlock, err = f.Lock(context.Background())
		}
		fmt.Println("held", err)
		io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(unlock) // the lock's file is closed with it
	case "trade":
		k := sharedKeeper(byPassword)
		waitToGo()
		_, err := k.Session(context.Background())
		fmt.Println(errors.Join(err, posts(context.Background(), k.c, 8)))
	case "ask for a session":
		k := sharedKeeper(bySeed)
		waitToGo()
		s, err := k.Session(context.Background())
		fmt.Println(s.SID, err)
	}
}

// waitToGo waits until together lets all processes go.
func waitToGo() {
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

// sharedKeeper is the keeper of a process that together has started.
func sharedKeeper(login func(neoapitest.Account) Login) *Keeper {
	var a neoapitest.Account
	store, err := NewFileStore(os.Getenv("STORE"))
	c, err2 := New(Config{Environment: Environment(os.Getenv("URL")), ConsumerKey: os.Getenv("KEY"), ConsumerSecret: os.Getenv("SECRET")})
	if err := errors.Join(json.Unmarshal([]byte(os.Getenv("ACCOUNT")), &a), err, err2); err != nil {
		panic(err)
	}
	k, err := c.Keep(KeepConfig{Store: store, Login: login(a)})
	if err != nil {
		panic(err)
	}
	return k
}

// together starts processes that share a session file, lets them go at once, and
// returns a function for each that waits for what it prints.
func together(t *testing.T, n int, role string, srv *neoapitest.Server, path string) (said []func() string) {
	t.Helper()
	account := must.Get(json.Marshal(srv.Account))(t)
	var ins []io.Writer
	for range n {
		_, in, out := child(t, role, "STORE="+path, "URL="+srv.URL, "KEY="+srv.ConsumerKey, "SECRET="+srv.ConsumerSecret, "ACCOUNT="+string(account))
		line := func() string { text, _ := out.ReadString('\n'); return strings.TrimSpace(text) }
		ins, said = append(ins, in), append(said, line)
	}
	for _, line := range said {
		if got := line(); got != "ready" {
			t.Fatalf("a process says %q", got)
		}
	}
	for _, in := range ins {
		fmt.Fprintln(in, "go")
	}
	return said
}
