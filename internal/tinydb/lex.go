package tinydb

import "strings"

// token is a word, a placeholder or a sign of an expression; at the end text is "".
type token string

const (
	letters  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	wordRest = letters + "0123456789"
)

// lex cuts an expression into tokens.
func lex(s string) ([]token, error) {
	var tokens []token
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return tokens, nil
		}
		n := tokenLength(s)
		if n == 0 {
			bad := []rune(s)[0]
			return nil, syntax("Syntax error; token: %q, near: %q", string(bad), near(tokens, string(bad)))
		}
		tokens, s = append(tokens, token(s[:n])), s[n:]
	}
}

// tokenLength measures the token s begins with; 0 means that none begins so.
func tokenLength(s string) int {
	if len(s) > 1 && (s[:2] == "<>" || s[:2] == "<=" || s[:2] == ">=") {
		return 2
	}
	start := 0
	switch {
	case strings.IndexByte("=<>(),.[]", s[0]) >= 0:
		return 1
	case s[0] == '#' || s[0] == ':':
		start = 1
	case strings.IndexByte(wordRest, s[0]) < 0:
		return 0
	}
	end := start
	for end < len(s) && strings.IndexByte(wordRest, s[end]) >= 0 {
		end++
	}
	if end == start {
		return 0 // a lone # or :
	}
	return end
}

// near shows a bad token with the one before it, as DynamoDB's messages do.
func near(before []token, bad string) string {
	if len(before) == 0 {
		return bad
	}
	return strings.TrimSpace(string(before[len(before)-1]) + " " + bad)
}

// is compares with a keyword, in any case.
func (t token) is(keyword string) bool { return strings.EqualFold(string(t), keyword) }

// isOperand reports whether the token is an attribute name, #name or :value.
func (t token) isOperand() bool {
	if t == "" || strings.IndexByte("=<>(),.[]0123456789", t[0]) >= 0 {
		return false
	}
	for _, keyword := range []string{"AND", "OR", "NOT", "BETWEEN", "IN"} {
		if t.is(keyword) {
			return false
		}
	}
	return true
}
