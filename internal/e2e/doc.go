// Package e2e holds the end-to-end tests: real OpenSSH, real AWS clients and the
// built ddbproxy, on the three machines of package lab, with package edge as
// AWS's front door and a DynamoDB emulator behind it.
//
// Each test is a story about one promise; rig_test.go has the scenery and
// session_test.go the ddbproxy that a story is about. Nothing here looks inside
// ddbproxy: what a test knows is what a user, the bastion or AWS could see. No
// test asserts how fast something is; faults_test.go and scripts/bench measure
// that on demand.
//
// They need Linux, root and scripts/test-deps, and skip without.
package e2e
