package edge

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// Emulator gives a Backend that hands requests to a DynamoDB emulator at u (DynamoDB
// Local, moto) and its answers back, byte for byte. An emulator that is not there is
// an InternalServerError. A nil logger discards. The Server's Close and Shutdown
// also close the idle connections to the emulator.
func Emulator(u *url.URL, logger *slog.Logger) http.Handler {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	// Left alone, Transport would ask for gzip and unpack it, and x-amz-crc32 would be
	// of other bytes than the client gets. Proxy stays nil: HTTPS_PROXY may point at
	// the ddbproxy under test.
	// Dynalite closes a connection that was idle for 5 s, also under a request that
	// is just being sent on it, and no write may be sent twice.
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second}
	return &emulator{transport, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			// DynamoDB finishes what it has received, whether or not the caller waits.
			r.Out = r.Out.WithContext(context.WithoutCancel(r.Out.Context()))
		},
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			logger.Debug("emulator", "err", err)
			a := refuse(internalError())
			for name, values := range a.header {
				w.Header()[name] = values
			}
			w.WriteHeader(a.status)
			_, _ = w.Write(a.body.Bytes())
		},
	}}
}

type emulator struct {
	transport *http.Transport
	*httputil.ReverseProxy
}

// CloseIdleConnections is what Server looks for when it ends.
func (e *emulator) CloseIdleConnections() { e.transport.CloseIdleConnections() }

func internalError() *apiError {
	return &apiError{http.StatusInternalServerError, "com.amazonaws.dynamodb.v20120810#InternalServerError",
		"The request processing has failed because of an unknown error, exception or failure."}
}
