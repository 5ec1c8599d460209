//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/ddbproxy/ddbproxy/internal/lab"
)

// Ctrl-C and a supervisor's SIGTERM let what is under way finish.
func TestSignalLetsAScanUnderWayFinish(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]os.Signal{"SIGINT": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lab.Config{})
			r.openDoor(lab.SSHDOptions{})
			s := r.connect()
			c, table := r.gosdk(once), aws.String("slow")
			createTable(t, c, *table)
			random := rand.New(rand.NewPCG(5, 6))
			for n := range 3 {
				item := newRow(fmt.Sprint("item-", n), randomText(random, 250<<10))
				if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: item}); err != nil {
					t.Fatal(err)
				}
			}
			// 750 KB take 3 s at this rate.
			if err := r.Uplink.SetRate(2_000_000); err != nil {
				t.Fatal(err)
			}
			scanned := make(chan error, 1)
			go func() {
				page, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: table})
				if err == nil && len(page.Items) != 3 {
					err = fmt.Errorf("%d items, want 3", len(page.Items))
				}
				scanned <- err
			}()
			eventually(t, "the scan is under way", func() bool { return r.applied("Scan") == 1 })
			s.stop(signal)
			if err := <-scanned; err != nil {
				t.Errorf("the scan under way: %v", err)
			}
			contains(r, s.stderr.String(), "draining")
		})
	}
}
