// Package edge is a pretend AWS front door: a TLS server for names like
// dynamodb.eu-west-1.amazonaws.com that checks a request as AWS would before a
// backend sees it. `ddbproxy demo` and the end-to-end tests put it where DynamoDB
// would be. The two names you need are [Server] and [CA]:
//
//	ca, err := edge.NewCA()
//	s := &edge.Server{
//		CA:      ca, // clients trust ca.Pool() or a file of ca.PEM()
//		Users:   map[string]edge.User{"AKIAEXAMPLE": {Secret: "secret", Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/dev"}},
//		Policy:  edge.Policy{SourceVpce: "vpce-0123456789abcdef0"},
//		Backend: &tinydb.DB{},
//	}
//	go s.Serve(internet)
//	go s.Serve(edge.Entrance(vpc, "vpce-0123456789abcdef0"))
//
// It verifies Signature Version 4 strictly and with no code of package proxy, so that
// the two cannot share a mistake. It compresses long answers for who asks. It counts what it saw, and Server.Fault makes it
// break connections on demand. It limits no rates, terminates no other service but
// STS's GetCallerIdentity, and cannot verify a client that signs its User-Agent (SDK for Java 1 does).
package edge
