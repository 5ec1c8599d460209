//go:build linux

package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// serveArg makes this program the pretend AWS. It is a process of its own so that
// its work is nobody else's; it gets its certificate on standard input and ends
// with that.
const serveArg = "serve-aws"

type identity struct{ Cert, Key []byte } // PEM

func marshalIdentity(cert tls.Certificate) (identity, error) {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return identity{}, err
	}
	return identity{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

// serve answers on the VPC endpoint until in ends, and says a line when it is ready.
func serve(in io.Reader, out io.Writer) error {
	var id identity
	if err := json.NewDecoder(in).Decode(&id); err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(id.Cert, id.Key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", lab.VPCEndpoint+":443")
	if err != nil {
		return err
	}
	var http1 http.Protocols // DynamoDB speaks nothing newer
	http1.SetHTTP1(true)
	s := &http.Server{
		Handler:     canned(answers()),
		Protocols:   &http1,
		IdleTimeout: 20 * time.Minute,           // longer than any idle time that is measured
		ErrorLog:    log.New(io.Discard, "", 0), // ends of handshakes that a client gave up
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		s.Close()
	}()
	fmt.Fprintln(out, "ready")
	err = s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// canned gives ready-made answers by operation.
func canned(all map[string]answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		a, known := all[op]
		if !known { // a health check, or a connection that is warmed
			_, _ = io.WriteString(w, "healthy: "+r.Host)
			return
		}
		f := a.plain
		h := w.Header()
		if a.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			f = *a.gzip
			h.Set("Content-Encoding", "gzip")
		}
		h.Set("Server", "Server")
		h.Set("Content-Type", "application/x-amz-json-1.0")
		h.Set("Content-Length", strconv.Itoa(len(f.body)))
		h.Set("X-Amzn-Requestid", requestID())
		h.Set("X-Amz-Crc32", f.crc)
		_, _ = w.Write(f.body)
	}
}

// requestID gives 52 characters of 0-9 and A-V, the shape of the service's own.
func requestID() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails, by its documentation
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:])
}
