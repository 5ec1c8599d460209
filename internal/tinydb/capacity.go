package tinydb

// consumed is what a request would have cost, in capacity units.
type consumed struct {
	TableName     string
	CapacityUnits float64
	Table         *tableUnits `json:",omitempty"` // only for INDEXES
}

type tableUnits struct{ CapacityUnits float64 }

func checkCapacity(choice *string) error {
	return oneOf("ReturnConsumedCapacity", choice, "NONE", "TOTAL", "INDEXES")
}

func checkMetrics(choice string) error {
	if err := oneOf("ReturnItemCollectionMetrics", &choice, "NONE", "SIZE"); err != nil {
		return err
	}
	if choice == "SIZE" {
		return unimplemented("ReturnItemCollectionMetrics SIZE")
	}
	return nil
}

// consumedBy gives the answer's part, nil when the client did not ask for it.
func consumedBy(choice, table string, units float64) *consumed {
	switch choice {
	case "TOTAL":
		return &consumed{table, units, nil}
	case "INDEXES":
		return &consumed{table, units, &tableUnits{units}}
	}
	return nil
}

// readUnits counts 4 KB steps, at least one; reads that need not be consistent cost
// half (Developer Guide, "Read and write operations").
func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+4095)/4096))
	if !consistent {
		units /= 2
	}
	return units
}

// writeUnits counts 1 KB steps, at least one.
func writeUnits(size int) float64 {
	return float64(max(1, (size+1023)/1024))
}
