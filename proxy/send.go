package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// grace lets a dial that ends at the deadline tell why, before the request gives up without knowing.
	grace = 500 * time.Millisecond
	// maxResends bounds how often a read is sent again; SDKs retry on top of it.
	maxResends = 3
	// clockStep is the difference at which the SDKs too take their clock to be wrong.
	clockStep = 4 * time.Minute
)

// errNoConnection ends the wait for a connection whose dial says nothing.
var errNoConnection = errors.New("no connection in time")

// send carries a call to AWS and returns the answer, or an *answer of our own. It waits for a connection up to Hold in
// all, because SDKs differ so much in their retries that only holding the request helps every one of them: JavaScript v3
// gives up on 503 within half a second. What has left once is sent again only where mayRepeat says so.
func (s *Server) send(ctx context.Context, in *http.Request, c call, bodyHash string, creds aws.Credentials) (*http.Response, error) {
	left := s.hold()
	pause, resends, redated := time.Duration(0), 0, false
	var before failure
	s.asksGzip(in.Header, &c)
	for {
		out := s.outgoing(ctx, in, c, bodyHash, creds)
		signed := s.clock.aws()
		try := s.try(out, left)
		left -= try.waited
		if try.err == nil {
			s.clock.learn(try.resp.Header)
			// Refused for its date, nothing was carried out: sign again with the time just learnt. boto3 and the CLI
			// never correct their clock, so the caller cannot mend this.
			if refused := try.resp.StatusCode == http.StatusBadRequest || try.resp.StatusCode == http.StatusForbidden; refused &&
				!redated && s.clock.aws().Sub(signed).Abs() >= clockStep {
				redated = true
				try.resp.Body.Close()
				continue
			}
			if try.err = s.receive(try.resp, c); try.err == nil {
				return try.resp, nil
			}
			try.wrote = true
			c.gzip = c.gzip && !errors.Is(try.err, errUnusable)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if try.stale {
			continue
		}
		f := explain(try.err, c)
		if late := errors.Is(try.err, errNoConnection) || errors.Is(try.err, context.DeadlineExceeded); late && before.text != "" {
			f = before // that our own time was over says less
		}
		before = f
		switch {
		case try.wrote && !c.mayRepeat():
			return nil, &answer{status: http.StatusInternalServerError, kind: internalError, message: fmt.Sprintf(
				"%s: the connection broke after %s was sent: the write may or may not have happened; look before writing again (%s)", f.hop, c.op, f.text)}
		case f.permanent:
			return nil, f.refusal()
		case try.wrote && resends == maxResends:
			return nil, &answer{status: http.StatusInternalServerError, kind: internalError, message: fmt.Sprintf(
				"%s: the connection broke %d times before %s was answered; it may be sent again (%s)", f.hop, resends+1, c.op, f.text)}
		case left <= pause:
			fate := "nothing was sent, and trying again is safe"
			if try.wrote || resends > 0 {
				fate = "it was sent before and not answered, and may be sent again"
			}
			return nil, &answer{status: http.StatusServiceUnavailable, kind: unavailable, message: fmt.Sprintf(
				"%s: no connection to %s within %v: %s; %s", f.hop, c.host, s.hold(), f.text, fate)}
		}
		if try.wrote {
			resends++
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		left -= pause
		pause = min(max(2*pause, 100*time.Millisecond), time.Second)
	}
}

// An attempt is one try to send a request.
type attempt struct {
	resp   *http.Response
	err    error
	waited time.Duration // until there was a connection, or the end
	wrote  bool          // bytes of the request left this machine
	stale  bool          // the connection had died idle, unnoticed: the next one may be well
}

// try sends a request once, giving up when there is no connection after limit. Once there is one, the answer may take as
// long as the caller is willing to wait.
func (s *Server) try(r *http.Request, limit time.Duration) attempt {
	start := time.Now()
	conn, used, err := s.lend(r.Context(), net.JoinHostPort(r.URL.Host, "443"), start.Add(limit))
	a := attempt{err: err, waited: time.Since(start)}
	if err == nil {
		a.resp, a.wrote, a.err = conn.exchange(r)
		a.stale = a.err != nil && used && !a.wrote
	}
	return a
}

// wait returns after d, or with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
