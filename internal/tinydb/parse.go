package tinydb

import (
	"fmt"
	"slices"
)

// maxExpression is the length limit of one expression in bytes (Developer Guide,
// "Limits"). It also bounds how deep the parser can recurse.
const maxExpression = 4096

// parser reads one expression by recursive descent: OR of ANDs of NOTs of
// comparisons. Condition, filter, key condition and projection all use it. Its
// errors are syntaxErrors, or *apiErrors for what is not implemented.
type parser struct {
	tokens []token
	at     int
}

// syntaxError is what is wrong with an expression, in DynamoDB's words; "Invalid
// FilterExpression: " or the like goes before it.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func syntax(format string, args ...any) error { return syntaxError(fmt.Sprintf(format, args...)) }

func newParser(s string) (*parser, error) {
	if s == "" {
		return nil, syntax("The expression can not be empty;")
	}
	if len(s) > maxExpression {
		return nil, syntax("Expression size has exceeded the maximum allowed size; expression size: %d", len(s))
	}
	tokens, err := lex(s)
	return &parser{tokens: tokens}, err
}

// parseCondition reads a whole condition.
func parseCondition(s string) (node, error) {
	p, err := newParser(s)
	if err != nil {
		return nil, err
	}
	n, err := p.or()
	if err == nil && p.peek() != "" {
		err = p.unexpected()
	}
	return n, err
}

// parseProjection reads a list of top-level attributes.
func parseProjection(s string) ([]*operand, error) {
	p, err := newParser(s)
	if err != nil {
		return nil, err
	}
	list, err := p.list()
	if err == nil && p.peek() != "" {
		err = p.unexpected()
	}
	return list, err
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

// accept takes the next token if it is the keyword or sign wanted.
func (p *parser) accept(want string) bool {
	if p.peek() != "" && p.peek().is(want) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(want string) error {
	if !p.accept(want) {
		return p.unexpected()
	}
	return nil
}

func (p *parser) unexpected() error {
	bad := string(p.peek())
	if bad == "" {
		bad = "<EOF>"
	}
	return syntax("Syntax error; token: %q, near: %q", bad, near(p.tokens[:min(p.at, len(p.tokens))], bad))
}

func (p *parser) or() (node, error) { return p.chain("OR", p.and) }

func (p *parser) and() (node, error) { return p.chain("AND", p.not) }

// chain reads one or more operands joined by op, to the left.
func (p *parser) chain(op string, next func() (node, error)) (node, error) {
	left, err := next()
	for err == nil && p.accept(op) {
		var right node
		right, err = next()
		left = &logic{op, left, right}
	}
	return left, err
}

func (p *parser) not() (node, error) {
	if p.accept("NOT") {
		of, err := p.not()
		return &not{of}, err
	}
	if p.accept("(") {
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	}
	return p.comparison()
}

// comparison reads a function call or an operand with what it is compared to.
func (p *parser) comparison() (node, error) {
	if p.peek().isOperand() && p.at+1 < len(p.tokens) && p.tokens[p.at+1] == "(" {
		return p.call()
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	switch {
	case p.accept("BETWEEN"):
		return p.between(left)
	case p.accept("IN"):
		if err := p.expect("("); err != nil {
			return nil, err
		}
		list, err := p.list()
		if err != nil {
			return nil, err
		}
		return &in{left, list}, p.expect(")")
	}
	op := p.peek()
	if !slices.Contains([]token{"=", "<>", "<", "<=", ">", ">="}, op) {
		return nil, p.unexpected()
	}
	p.at++
	right, err := p.operand()
	return &compare{string(op), left, right}, err
}

func (p *parser) between(of *operand) (node, error) {
	low, err := p.operand()
	if err != nil {
		return nil, err
	}
	if err := p.expect("AND"); err != nil {
		return nil, err
	}
	high, err := p.operand()
	return &between{of, low, high}, err
}

// functions maps each function served to its number of arguments.
func functions(name string) int {
	switch name {
	case "attribute_exists", "attribute_not_exists":
		return 1
	case "begins_with", "contains":
		return 2
	}
	return 0
}

func (p *parser) call() (node, error) {
	name := string(p.peek())
	want := functions(name)
	if want == 0 {
		if name == "size" || name == "attribute_type" {
			return nil, unimplemented("function %s", name)
		}
		return nil, syntax("Invalid function name; function: %s", name)
	}
	p.at += 2 // the name and its parenthesis, which comparison has seen
	args, err := p.list()
	if err != nil {
		return nil, err
	}
	if len(args) != want {
		return nil, syntax("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", name, len(args))
	}
	return &call{name, args}, p.expect(")")
}

// list reads operands with commas between.
func (p *parser) list() ([]*operand, error) {
	var all []*operand
	for {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		if !p.accept(",") {
			return all, nil
		}
	}
}

func (p *parser) operand() (*operand, error) {
	t := p.peek()
	if !t.isOperand() {
		return nil, p.unexpected()
	}
	p.at++
	switch p.peek() {
	case ".", "[":
		return nil, unimplemented("nested attribute path (%s%s…)", t, p.peek())
	case "(":
		return nil, unimplemented("function %s as an operand", t)
	}
	return &operand{text: string(t)}, nil
}
