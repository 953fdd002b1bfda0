package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/sandbox"
)

// BenchmarkLoginCommand runs neo login as a whole process against a service in
// another: its CPU time and the most memory it had resident. The bar is 30 ms and
// 30 MB; the field's Python clients take 386 ms and 73 MB (generation 1), 571 ms
// and 83 MB (generation 3).
func BenchmarkLoginCommand(b *testing.B) {
	s := start(b, b.TempDir())
	dir := b.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(b, os.WriteFile(path, []byte(text+"\n"), 0o600))
		return path
	}
	password, mpin := file("password", sandbox.DemoPassword), file("mpin", sandbox.DemoMPIN)
	var cpu []time.Duration
	peak := 0.0
	for b.Loop() {
		cmd := exec.Command(binary, "login", "--env", s.url, "--consumer-key", sandbox.DemoConsumerKey, "--user-id", sandbox.DemoUserID,
			"--password-file", password, "--mpin-file", mpin, "--session", filepath.Join(dir, "session.json"))
		cmd.Env = append(os.Environ(), "NEO_CONSUMER_SECRET="+sandbox.DemoConsumerSecret)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		peak = max(peak, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1e3)
	}
	slices.Sort(cpu)
	b.ReportMetric(float64(cpu[len(cpu)/2].Microseconds())/1e3, "median-cpu-ms")
	b.ReportMetric(float64(cpu[len(cpu)-1].Microseconds())/1e3, "most-cpu-ms")
	b.ReportMetric(peak, "peak-MB")
}
