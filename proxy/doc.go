// Package proxy is the local HTTP endpoint that AWS clients talk to instead of DynamoDB. Server is an http.Handler:
// it proves who calls, chooses the endpoint, signs the request for it and streams the answer back; NewKey makes the
// key pair that a session's own clients sign with.
//
//	s := &proxy.Server{Dial: tunnel.DialContext, Identities: []proxy.Identity{{Credentials: cfg.Credentials}}, Regions: []string{"eu-west-1"}}
//	defer s.Close()
//	http.ListenAndServe("localhost:8000", s)
//
// A caller has two doors on the same port. In endpoint mode it sends DynamoDB requests, signed with the session key or
// with the very access key that the proxy holds, and the proxy signs them anew for the real host. In proxy mode it sends
// CONNECT, and its own TLS and signature go through untouched.
//
// Only Dial crosses the border to the network; the package knows nothing of SSH. It refuses to sign for a caller that
// has not proved itself, to reach a host that is not DynamoDB's, to send a write twice that may have happened, and to
// answer in any shape but the one the caller's SDK prints.
package proxy
