package tinydb

import (
	"errors"
	"regexp"
)

// expressions binds the placeholders of one request's expressions. Call condition
// and projection for each expression, then finish for the first error.
type expressions struct {
	names  map[string]string
	values map[string]value

	seen bool // some expression was given
	used map[string]bool
	err  error
}

// condition parses and binds an expression; nil when there is none or on an error.
func (e *expressions) condition(param string, text *string) node {
	if text == nil || e.err != nil {
		return nil
	}
	e.seen = true
	n, err := parseCondition(*text)
	if err != nil {
		e.fail(param, err)
		return nil
	}
	walk(n, func(n node) {
		for _, o := range operands(n) {
			e.bind(param, o)
		}
		if e.err == nil {
			e.fail(param, checkTypes(n))
		}
	})
	if e.err != nil {
		return nil
	}
	return n
}

// projection parses a ProjectionExpression; nil when there is none.
func (e *expressions) projection(text *string) []string {
	if text == nil || e.err != nil {
		return nil
	}
	e.seen = true
	const param = "ProjectionExpression"
	list, err := parseProjection(*text)
	if err != nil {
		e.fail(param, err)
		return nil
	}
	var names []string
	for _, o := range list {
		if o.isLiteral() {
			e.fail(param, syntax("Syntax error; token: %q, near: %q", o.text, o.text))
			return nil
		}
		e.bind(param, o)
		names = append(names, o.attr)
	}
	return names
}

// bind looks a placeholder up and marks it used.
func (e *expressions) bind(param string, o *operand) {
	if e.used == nil {
		e.used = map[string]bool{}
	}
	e.used[o.text] = true
	switch o.text[0] {
	case ':':
		v, ok := e.values[o.text]
		if !ok {
			e.fail(param, syntax("An expression attribute value used in expression is not defined; attribute value: %s", o.text))
		}
		o.lit = &v
	case '#':
		name, ok := e.names[o.text]
		if !ok {
			e.fail(param, syntax("An expression attribute name used in the document path is not defined; attribute name: %s", o.text))
		}
		o.attr = name
	default:
		o.attr = o.text
	}
}

// fail keeps the first error, with the parameter's name in front.
func (e *expressions) fail(param string, err error) {
	var api *apiError
	switch {
	case err == nil || e.err != nil:
	case errors.As(err, &api):
		e.err = api
	default:
		e.err = invalid("Invalid %s: %s", param, err)
	}
}

var placeholder = regexp.MustCompile(`^[#:][a-zA-Z0-9_]+$`)

// finish gives the first error of all expressions, or that of a placeholder which
// none of them has used.
func (e *expressions) finish() error {
	if e.err != nil {
		return e.err
	}
	if err := checkPlaceholders("ExpressionAttributeNames", '#', e.names, e.seen, e.used); err != nil {
		return err
	}
	return checkPlaceholders("ExpressionAttributeValues", ':', e.values, e.seen, e.used)
}

func checkPlaceholders[V any](param string, sign byte, given map[string]V, seen bool, used map[string]bool) error {
	if given == nil {
		return nil
	}
	if !seen {
		return invalid("%s can only be specified when using expressions", param)
	}
	if len(given) == 0 {
		return invalid("%s must not be empty", param)
	}
	unused := map[string]V{}
	for key, v := range given {
		if !placeholder.MatchString(key) || key[0] != sign {
			return invalid(`%s contains invalid key: Syntax error; key: "%s"`, param, key)
		}
		if !used[key] {
			unused[key] = v
		}
	}
	if len(unused) > 0 {
		return invalid("Value provided in %s unused in expressions: keys: %s", param, nameList(unused))
	}
	return nil
}

// checkTypes refuses literals that an operator or function has no meaning for.
func checkTypes(n node) error {
	name, args := "", operands(n)
	allowed := value.ordered
	switch n := n.(type) {
	case *compare:
		if n.op == "=" || n.op == "<>" {
			return nil
		}
		name = n.op
	case *between:
		name = "BETWEEN"
	case *call:
		name = n.name
		if args[0].isLiteral() && name != "contains" && name != "begins_with" {
			return syntax("Operator or function requires a document path; operator or function: %s", name)
		}
		if name != "begins_with" {
			return nil
		}
		allowed = func(v value) bool { return v.typ == "S" || v.typ == "B" }
	default:
		return nil
	}
	for _, o := range args {
		if o.lit != nil && !allowed(*o.lit) {
			return syntax("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", name, o.lit.typ)
		}
	}
	return nil
}
