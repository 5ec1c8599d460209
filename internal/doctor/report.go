package doctor

import (
	"encoding/json"
	"io"
)

// Report is the JSON form of what was found: fields may come, and stay as they
// are.
type Report struct {
	OK      bool     `json:"ok"` // no check failed
	Results []Result `json:"results"`
	Facts   []*Facts `json:"facts"` // of each bastion
}

// WriteJSON writes results and facts for machines.
func WriteJSON(w io.Writer, results []Result, facts ...*Facts) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(Report{AllWell(results), results, facts})
}
