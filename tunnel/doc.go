// Package tunnel carries TCP connections to a bastion over SSH. Client opens
// one SSH connection, starts the relay on the far side, and its DialContext
// then gives a net.Conn to any host that the relay allows; the connection is
// kept up, and made again when it breaks, until Close.
//
//	c := &tunnel.Client{Destination: "dev@bastion"}
//	if err := c.Start(ctx); err != nil { … }
//	defer c.Close()
//	conn, err := c.DialContext(ctx, "tcp", "dynamodb.eu-west-1.amazonaws.com:443")
//
// TLS is made by the caller and runs end to end: the bastion sees ciphertext
// only. Destinations, keys, known hosts and jump hosts come from ssh's own
// configuration. The package has no notion of DynamoDB, opens no listening
// socket, and never continues past a host key that changed.
package tunnel
