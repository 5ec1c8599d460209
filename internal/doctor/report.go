package doctor

import (
	"encoding/json"
	"io"
)

// Report is the JSON form of what was found: fields may come, and stay as they
// are.
type Report struct {
	OK      bool     `json:"ok"` // no check failed, and none was left out by an interrupt
	Results []Result `json:"results"`
	Facts   []*Facts `json:"facts"` // of each bastion
}

// WriteJSON writes results and facts for machines.
func WriteJSON(w io.Writer, results []Result, facts ...*Facts) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false) // "jq -r" shows texts as they are
	for _, f := range facts {
		for _, d := range []*Denial{f.Direct, f.Through} {
			if d != nil {
				d.Code, d.Message = printable(d.Code), printable(d.Message)
			}
		}
	}
	return enc.Encode(Report{AllWell(results), results, facts})
}
