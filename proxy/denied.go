package proxy

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
)

// Denials are the calls that AWS denied since the server began. Those of proxy mode are not among them, which is
// encrypted, nor statements of a batch, whose answer as a whole is none.
type Denials struct {
	Count int64
	Last  Denied // zero without any
}

// Denied is a call that AWS denied.
type Denied struct {
	Time time.Time
	Op   string // "GetItem"
	Path denial.Path
	denial.Denial
}

// Denials returns how many calls were denied, and the last of them.
func (s *Server) Denials() Denials {
	s.denied.mu.Lock()
	defer s.denied.mu.Unlock()
	return s.denied.Denials
}

type denials struct {
	mu sync.Mutex
	Denials
}

func (d *denials) add(last Denied) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Count++
	d.Last = last
}

// path is what is known of the way to AWS: an interface endpoint's name leads there and nowhere else, all others are for
// DNS and routes of the bastion's VPC to decide.
func path(host string) denial.Path {
	if ep, err := endpoint.Parse(host); err == nil && ep.VPCE != "" {
		return denial.Through
	}
	return denial.Unknown
}

// overhear has told called when what the caller is sent turns out to be a denial. That is at its end and before ServeHTTP
// returns, so who asks for the denials after an answer finds it among them. Nothing is read earlier than it would be, and
// nothing is changed.
func overhear(resp *http.Response, told func(denial.Denial)) {
	if resp.StatusCode != http.StatusBadRequest || resp.ContentLength > denial.MaxAnswer {
		return
	}
	resp.Body = &overheard{ReadCloser: resp.Body, resp: resp, told: told}
}

// overheard is the body of a small answer.
type overheard struct {
	io.ReadCloser
	resp *http.Response
	seen []byte // up to MaxAnswer and a byte, which tells that it is none
	told func(denial.Denial)
}

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	o.seen = append(o.seen, p[:min(n, denial.MaxAnswer+1-len(o.seen))]...)
	if o.told != nil && err == io.EOF {
		if d, ok := denial.FromAnswer(o.resp.StatusCode, o.resp.Header, o.seen); ok {
			o.told(d)
		}
		o.told = nil
	}
	return n, err
}
