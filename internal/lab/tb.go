package lab

import "os"

// RequireEnv is the environment variable that turns a skipped lab into a
// failed one, for a build that must not pass by leaving its tests out.
const RequireEnv = "DDBPROXY_TEST_REQUIRE"

// TB is what the lab needs of a [testing.TB]; a command that is not a test can
// bring its own.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// skip ends a test that this machine cannot run, as a failure where RequireEnv
// is set.
func skip(tb TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv(RequireEnv) != "" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}
