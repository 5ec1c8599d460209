package main

import "strings"

// nearest is the name that a word was probably meant to be, "" for none: one
// that begins with it or that it begins with, or that two typing errors make
// of it.
func nearest(word string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		d := distance(word, name)
		if d > 0 && len(word) > 2 && (strings.HasPrefix(name, word) || strings.HasPrefix(word, name)) {
			d = min(d, 2)
		}
		if d < least && d < len(word) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, take out or change (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
