// Package relay carries TCP connections over one byte stream: the standard
// input and output of a program on the bastion. Client is the near end and
// gives a DialContext; Server is the far end, checks each target against an
// allow-list and dials it.
//
// Each side first says one hello line, then speaks HTTP/2 (RFC 9113) without
// TLS; every TCP connection is one CONNECT stream (RFC 9113, section 8.5), and
// a refusal is an HTTP status with a Proxy-Status header (RFC 9209):
//
//	client: ddbproxy 1 v0.1.0
//	server: ddbproxy-relay 1 v0.1.0
//	client: PRI * HTTP/2.0 … CONNECT dynamodb.eu-west-1.amazonaws.com:443
//	server: 200, then bytes both ways
//
// Other requests are questions about the far end itself, which its program may
// answer; relays that do not know them refuse them.
//
// The package knows neither ssh nor DynamoDB. It opens no listening socket,
// keeps no state on disk, and a Server without an Allow function refuses all.
package relay
