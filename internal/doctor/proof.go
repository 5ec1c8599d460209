package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/ddbproxy/ddbproxy/proxy/denial"
	"github.com/ddbproxy/ddbproxy/proxy/endpoint"
	"github.com/ddbproxy/ddbproxy/tunnel"
	"github.com/ddbproxy/ddbproxy/tunnel/relay"
)

const idThrough = "proof.tunnel"

// Proof is the same signed call, once past the bastion and once through it.
func (w *Way) Proof() []Check {
	return []Check{
		{ID: "proof.direct", Section: Proof, Title: "from here", Needs: []string{idCredentials}, Run: w.direct},
		{ID: idThrough, Section: Proof, Title: "through the tunnel", Needs: []string{idCredentials, idTLS}, Run: w.through},
		{ID: "proof.latency", Section: Proof, Title: "latency", Needs: []string{idThrough}, Run: w.latency},
	}
}

// call is what is asked of DynamoDB: to list tables, or to describe the one that was
// named, for a policy about one table allows no list.
func call(f *Facts) (operation, body string) {
	if f.Table != "" {
		text, _ := json.Marshal(map[string]string{"TableName": f.Table}) // two strings
		return "DescribeTable", string(text)
	}
	return "ListTables", `{"Limit":1}`
}

// signed is that call for a host.
func (w *Way) signed(ctx context.Context, f *Facts, host string) (*http.Request, error) {
	operation, body := call(f)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	region := f.Region
	if ep, err := endpoint.Parse(host); err == nil {
		region = ep.Region
	}
	creds, err := f.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(body))
	return r, v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(hash[:]), "dynamodb", region, w.now())
}

// maxAnswer is above what an error or a description of a table has, in bytes.
const maxAnswer = 1 << 20

// send makes the call and reads the answer: refusal is AWS's, err that there was
// no answer.
func (w *Way) send(ctx context.Context, f *Facts, client aws.HTTPClient, host string) (refusal *Denial, err error) {
	r, err := w.signed(ctx, f, host)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return nil, nil
	}
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"` // some answers have Message, which encoding/json takes too
	}
	if json.Unmarshal(text, &said) != nil || said.Type == "" {
		return nil, fmt.Errorf("what answers is not DynamoDB: %s, %q", resp.Status, bytes.TrimSpace(text[:min(len(text), 100)]))
	}
	return &Denial{said.Type[strings.LastIndex(said.Type, "#")+1:], said.Message}, nil
}

// direct sends the call past the bastion. That it is denied is what a private table
// is about.
func (w *Way) direct(ctx context.Context, f *Facts) Finding {
	host := f.Endpoint
	ep, err := endpoint.Parse(host)
	if err == nil && ep.VPCE != "" { // whose address is in the VPC
		host, err = endpoint.Host(endpoint.DynamoDB, ep.Region, false, false)
	}
	if err != nil {
		return Skip("%v", err)
	}
	operation, _ := call(f)
	f.Direct, err = w.send(ctx, f, f.Config.HTTPClient, host)
	switch {
	case err != nil:
		return Skip("%s is not reached without the bastion: %v", host, cause(err))
	case f.Direct == nil || f.Direct.Code == "ResourceNotFoundException":
		vpce := f.VPCE
		if vpce == "" {
			vpce = "vpce-…"
		}
		return Bad(operation+" is answered, without the bastion", "These credentials are not bound to the VPC endpoint: whoever has them reaches DynamoDB from anywhere.",
			"ddbproxy policy --vpce "+vpce+" --deny prints the policy that binds them: attach it to the user or role in IAM")
	case denied(f.Direct.Code):
		return Well("denied, as it should be: %s", f.Direct.Message)
	}
	return w.refusal(f, f.Direct)
}

// refusal is the finding about one that is not about what policies allow.
func (w *Way) refusal(f *Facts, d *Denial) Finding {
	seen := d.Code + ": " + d.Message
	if strings.Contains(d.Message, "Signature expired") || strings.Contains(d.Message, "not yet current") {
		return Bad(seen, "AWS refuses what is signed by a clock that is more than 5 minutes off.", setClock())
	}
	if meaning, remedy, known := f.refused(d.Code, w.Profile); known {
		return Bad(seen, meaning, remedy)
	}
	return Bad(seen, "DynamoDB did not carry out the call, for a reason that is not about the way.", "ddbproxy doctor "+w.Client.Destination+" again in a minute; else ask AWS Support")
}

// through sends the call by the bastion.
func (w *Way) through(ctx context.Context, f *Facts) Finding {
	if w.http == nil {
		w.http = &http.Client{Transport: &http.Transport{
			DialContext:         w.Client.DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: w.Roots, Time: w.now},
			TLSHandshakeTimeout: defaultTimeout,
		}}
	}
	operation, _ := call(f)
	var err error
	f.Through, err = w.send(ctx, f, w.http, f.Endpoint)
	var refused *relay.Error
	switch {
	case errors.As(err, &refused), errors.Is(err, tunnel.ErrNoForwarding):
		return w.unreached(ctx, f, err)
	case err != nil:
		return Bad(cause(err).Error(), "The call did not come through, though the way was there a moment ago.", "ddbproxy doctor "+w.Client.Destination)
	case f.Through == nil:
		return Well("%s is answered", operation)
	case f.Through.Code == "ResourceNotFoundException":
		return Bad("there is no table "+f.Table+" in "+f.Region, "Policies and the way are well; the table's name or the region is not.", "aws dynamodb list-tables --endpoint-url http://localhost:8000")
	case denied(f.Through.Code):
		why, remedy := explain(f, f.Through)
		return Bad(f.Through.Message, why, remedy)
	}
	return w.refusal(f, f.Through)
}

// explain words a denial for somebody who has asked the doctor already.
func explain(f *Facts, d *Denial) (meaning, remedy string) {
	why, remedy := d.Explain(f)
	switch f.Path() {
	case denial.Unknown:
		_, remedy = denial.Parse(d.Message).Explain(denial.Through)
	case denial.Past:
		remedy = "mend what failed under AWS, above: the call has to come through the VPC endpoint"
	}
	return strings.ToUpper(why[:1]) + why[1:] + ".", remedy
}

// latency is how long each part of the way takes, at its best.
func (w *Way) latency(ctx context.Context, f *Facts) Finding {
	start := time.Now()
	if _, err := w.send(ctx, f, w.http, f.Endpoint); err != nil {
		return Skip("a second call got no answer: %v", cause(err))
	}
	parts := []string{fmt.Sprintf("a call %.3g ms", milliseconds(time.Since(start)))}
	if rtt, err := w.Client.Distance(ctx); err == nil { // else an ssh command has it
		if conn, dialed, err := w.dial(ctx, f); err == nil {
			conn.Close()
			w.dialed = min(w.dialed, dialed)
		}
		parts = append([]string{fmt.Sprintf("to the bastion %.3g ms", milliseconds(rtt)),
			fmt.Sprintf("from there to DynamoDB %.3g ms", milliseconds(max(0, w.dialed-rtt)))}, parts...)
	}
	return Well("%s", strings.Join(parts, ", "))
}
