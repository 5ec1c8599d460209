package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// scene runs checks and gives what a person sees.
func scene(t *testing.T, checks ...Check) ([]Result, string) {
	t.Helper()
	var out bytes.Buffer
	p := &Printer{W: &out}
	results := Run(context.Background(), checks, new(Facts), p.Print)
	p.Sum(results)
	return results, out.String()
}

func TestChecklist(t *testing.T) {
	results, text := scene(t,
		Check{ID: "laptop.a", Section: Laptop, Title: "a", Run: func(_ context.Context, f *Facts) Finding {
			f.Region = "eu-west-1"
			return Well("in %s", f.Region)
		}},
		Check{ID: "ssh.b", Section: SSH, Title: "b", Needs: []string{"laptop.a"}, Run: func(_ context.Context, f *Facts) Finding {
			return Bad("no answer in "+f.Region, "Nothing gets through.", "mend b")
		}},
		Check{ID: "ssh.c", Section: SSH, Title: "c", Needs: []string{"ssh.b"}, Run: func(context.Context, *Facts) Finding {
			panic("it cannot be made")
		}},
		Check{ID: "aws.d", Section: AWS, Title: "d", Needs: []string{"ssh.c", "no.such"}, Run: func(context.Context, *Facts) Finding {
			panic("it cannot be made")
		}},
	)
	want := `Laptop
  ✓ a                      in eu-west-1

SSH
  ✗ b                      no answer in eu-west-1
      Nothing gets through.
      → mend b
  – c                      it needs SSH: b, which failed

AWS
  – d                      it needs SSH: b, which failed

1 ok, 1 failed, 2 skipped
`
	if text != want {
		t.Errorf("printed\n%s\nwant\n%s", text, want)
	}
	if AllWell(results) || !AllWell(results[:1]) {
		t.Error("AllWell does not tell a failed check from others")
	}
}

// What failed for one bastion is no matter of another's.
func TestEachBastionHasItsOwn(t *testing.T) {
	var out bytes.Buffer
	l := Checklist{Each: (&Printer{W: &out}).Print}
	well := func(context.Context, *Facts) Finding { return Well("well") }
	l.Run(context.Background(), []Check{{ID: "laptop.a", Section: Laptop, Title: "a", Run: well}}, new(Facts))
	for _, bastion := range []string{"one", "two"} {
		l.Run(context.Background(), []Check{
			{ID: "ssh.b", Section: SSH, Title: "b", Needs: []string{"laptop.a"}, Run: func(_ context.Context, f *Facts) Finding {
				if f.Bastion == "one" {
					return Bad("away", "It is away.", "start it")
				}
				return Well("there")
			}},
			{ID: "ssh.c", Section: SSH, Title: "c", Needs: []string{"ssh.b"}, Run: well},
		}, &Facts{Bastion: bastion})
	}
	want := `Laptop
  ✓ a                      well

SSH  one
  ✗ b                      away
      It is away.
      → start it
  – c                      it needs SSH: b, which failed

SSH  two
  ✓ b                      there
  ✓ c                      well
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestInterruptedChecksAreSkipped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	check := Check{ID: "a", Section: Laptop, Title: "a", Run: func(context.Context, *Facts) Finding {
		cancel()
		return Well("done")
	}}
	results := Run(ctx, []Check{check, check}, new(Facts), nil)
	if results[0].Outcome != OK || results[1].Outcome != Skipped || results[1].Detail != "interrupted" {
		t.Errorf("got %+v", results)
	}
}

func TestPrintedLinesHaveNoControlCharacters(t *testing.T) {
	_, text := scene(t, Check{ID: "a", Section: SSH, Title: "a", Run: func(context.Context, *Facts) Finding {
		return Bad("\x1b[2Jgone", "so\x1b", "do\x07 it")
	}})
	if strings.ContainsAny(text, "\x1b\x07") {
		t.Errorf("printed %q", text)
	}
}

func TestColors(t *testing.T) {
	var out bytes.Buffer
	p := &Printer{W: &out, Color: true}
	p.Print(Result{Section: Laptop, Title: "a", Finding: Well("b")})
	if !strings.Contains(out.String(), "\x1b[32m✓\x1b[0m a") {
		t.Errorf("printed %q", out.String())
	}
}

func TestJSON(t *testing.T) {
	results, _ := scene(t, Check{ID: "a", Section: SSH, Title: "a", Run: func(context.Context, *Facts) Finding {
		return Bad("seen", "so", "do <it>")
	}})
	results[0].Duration = 1.5
	var out bytes.Buffer
	if err := WriteJSON(&out, results, &Facts{Region: "eu-west-1"}); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out.Bytes()); err != nil {
		t.Fatal(err)
	}
	want := `{"ok":false,"results":[{"id":"a","section":"SSH","title":"a","outcome":"failed","detail":"seen","meaning":"so","remedy":"do <it>","duration_ms":1.5}],"facts":[{"region":"eu-west-1"}]}`
	if compact.String() != want {
		t.Errorf("printed %s\nwant    %s", compact.String(), want)
	}
}
