package tunnel

import "time"

// Step is a part of the way to a bastion, in the order in which they come.
type Step string

// The steps to one ssh server. A jump host has StepName to StepLogin of its own,
// between the destination's StepName and StepReached. With an ssh command there
// are none but the last two.
const (
	StepConfig  Step = "config"  // ssh's configuration was read
	StepName    Step = "name"    // the name has addresses, or a jump host or proxy command knows
	StepReached Step = "reached" // there is a byte stream to the server
	StepHostKey Step = "hostkey" // its key was shown and accepted
	StepLogin   Step = "login"   // it let us in
	StepUpload  Step = "upload"  // the relay was not there and was uploaded
	StepCarrier Step = "carrier" // the relay runs, or forward was taken
)

// Trace tells of a step that was made, for people who look for the one that was
// not.
type Trace struct {
	Step   Step
	Server string // user@host:port
	Jump   bool   // Server is a jump host of the destination
	Detail string // one line, of ours
	Took   time.Duration
}

// traced tells of a step that began at start.
func (c *Client) traced(step Step, server string, depth int, start time.Time, detail string) {
	if c.Tracer != nil {
		c.Tracer(Trace{Step: step, Server: server, Jump: depth > 0, Detail: detail, Took: time.Since(start)})
	}
}
