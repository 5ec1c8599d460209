package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/ddbproxy/ddbproxy/tunnel"
)

// sessionInfo is what a running session tells other ddbproxy commands of the
// same user. The key is worth nothing beyond this machine's loopback.
type sessionInfo struct {
	URL      string `json:"url"`
	Region   string `json:"region"`
	Endpoint string `json:"endpoint"`            // DynamoDB's name there
	CABundle string `json:"ca_bundle,omitempty"` // file of authorities for clients of https
	// Bastions and Carrier are what connect was given.
	Bastions []string `json:"bastions"`
	Carrier  string   `json:"carrier"`
	// OwnSSH tells that its flags have ssh settings that ssh's files do not.
	OwnSSH bool `json:"own_ssh"`
	// Starting tells that requests are not answered yet, or never.
	Starting bool `json:"starting"`
	// Keys are those of all profiles, the default one's first.
	Keys []profileKey `json:"keys"`
	// Key is the one of them that as has chosen.
	Key profileKey `json:"-"`
}

// profileKey is the session's key for the callers of one profile.
type profileKey struct {
	Profile string `json:"profile"` // "" where none was named
	ID      string `json:"access_key_id"`
	Secret  string `json:"secret_access_key"`
}

// as is the session with the key for one profile; "" is the default one.
func (s sessionInfo) as(profile string) (sessionInfo, error) {
	if profile == config.DefaultSharedConfigProfile && len(s.Keys) > 0 && s.Keys[0].Profile == "" {
		profile = ""
	}
	var names []string
	for _, k := range s.Keys {
		if k.Profile == profile || profile == "" {
			s.Key = k
			return s, nil
		}
		if k.Profile != "" {
			names = append(names, k.Profile)
		}
	}
	hint := "it was started without --profile: leave it out here too, or unset AWS_PROFILE"
	if near := nearest(profile, names); near != "" {
		hint = "did you mean --profile " + near + "?"
	} else if len(names) > 0 {
		hint = "give --profile one that it has: " + strings.Join(names, ", ")
	}
	return s, usageError(hint, "profile %s: the session at %s does not sign with it", profile, s.URL)
}

// plainURL is the URL without TLS, which every session serves.
func (s sessionInfo) plainURL() string { return "http" + strings.TrimPrefix(s.URL[len("http"):], "s") }

// port is the local one.
func (s sessionInfo) port() string { return s.URL[strings.LastIndex(s.URL, ":")+1:] }

// sockets are those of this user's sessions, dead ones among them.
func sockets() (names []string, err error) {
	dirs, err := runtimeDirs()
	for _, dir := range dirs {
		more, _ := filepath.Glob(filepath.Join(dir, "*.sock")) // the pattern is well-formed
		names = append(names, more...)
	}
	return names, err
}

// sessions asks every session of this user: at /session for a sessionInfo, at
// /status for a sessionStatus. silent are the sockets of those that are there
// and do not answer.
func sessions[T any](ctx context.Context, path string) (found []T, silent []string, err error) {
	names, err := sockets()
	if err != nil {
		return nil, nil, err
	}
	answers, errs := make([]T, len(names)), make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() { errs[i] = ask(ctx, name, path, &answers[i]) })
	}
	asking.Wait()
	for i, name := range names {
		switch {
		case errs[i] == nil:
			found = append(found, answers[i])
		case errors.Is(errs[i], context.DeadlineExceeded):
			silent = append(silent, name)
		}
	}
	return found, silent, nil
}

func ask(ctx context.Context, socket, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := call(ctx, socket, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(answer)
}

// call sends one request to a session's socket.
func call(ctx context.Context, socket, method, path string) (*http.Response, error) {
	var d net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://ddbproxy"+path, nil)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(req)
}

// checkPort refuses what is no port; "" is any.
func checkPort(port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil && port != "" {
		return usageError("give the number behind the colon of the session's URL", "--local-port %s: not a port", port)
	}
	return nil
}

// noAnswer is the error where sessions are there and do not answer.
func noAnswer(silent []string) error {
	return &exitError{exitFailed, fmt.Errorf("a session does not answer at %s", strings.Join(silent, ", ")), "it may be stopped; end it and start another"}
}

// running is the session on a port, or the only one, with the key for a profile.
// It waits for one that is starting.
func running(ctx context.Context, port, profile string) (sessionInfo, error) {
	if err := checkPort(port); err != nil {
		return sessionInfo{}, err
	}
	found, silent, err := sessions[sessionInfo](ctx, "/session")
	switch {
	case err != nil:
		return sessionInfo{}, err
	case len(found) == 0 && len(silent) > 0:
		return sessionInfo{}, noAnswer(silent)
	}
	s, err := pick(found, port)
	if err != nil {
		return s, err
	}
	if s, err = s.as(firstOf(profile)); err != nil {
		return s, err
	}
	return s, s.begun(ctx)
}

// find gives the running session that is what o asks for, nil where none is: for
// the same bastions, and with the ports, region, endpoint, profile and carrier if
// they were named. It waits for one that is starting.
func (o *connectOptions) find(ctx context.Context, w wishes) (*sessionInfo, error) {
	found, _, err := sessions[sessionInfo](ctx, "/session")
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		switch {
		case !slices.Equal(s.Bastions, o.destinations),
			len(o.listen) > 0 && !slices.Contains(o.listenPorts(), s.port()),
			len(o.regions) > 0 && o.regions[0] != s.Region,
			o.endpoint != "" && o.endpoint != s.Endpoint,
			o.endpoint == "" && !w.isServedBy(s.Endpoint),
			o.tls && s.CABundle == "",
			o.carrier != string(tunnel.CarrierAuto) && o.carrier != s.Carrier:
			continue
		}
		if s, err := s.as(w.profile); err == nil {
			return &s, s.begun(ctx)
		}
	}
	return nil, nil
}

// begun waits until a session that is starting answers requests.
func (s sessionInfo) begun(ctx context.Context) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for s.Starting {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &exitError{exitInterrupted, errInterrupted, ""}
		}
		found, _, err := sessions[sessionInfo](ctx, "/session")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(found, func(f sessionInfo) bool { return f.URL == s.URL })
		if i < 0 {
			return &exitError{exitUnreachable, fmt.Errorf("the session at %s was starting, and has ended", s.URL), "where it was started it says why"}
		}
		s.Starting = found[i].Starting
	}
	return nil
}

// pick chooses the session on a port, or the only one.
func pick(found []sessionInfo, port string) (sessionInfo, error) {
	if port != "" {
		i := slices.IndexFunc(found, func(s sessionInfo) bool { return s.port() == port })
		if i < 0 {
			return sessionInfo{}, noSession(port)
		}
		return found[i], nil
	}
	switch len(found) {
	case 0:
		return sessionInfo{}, noSession("")
	case 1:
		return found[0], nil
	}
	var urls []string
	for _, s := range found {
		urls = append(urls, s.URL)
	}
	return sessionInfo{}, usageError("choose one by its port: --local-port 8001", "several sessions are running: %s", strings.Join(urls, ", "))
}
