package tinydb

import "strings"

// node is a condition, parsed. Its String is an expression that parses to the same
// condition. eval holds it against an item, nil for an item that is not there; it
// may be called only after expressions has bound the operands.
type node interface {
	String() string
	eval(it item) bool
}

// operand is an attribute (a name or #name) or a literal (:value), as written, and
// after binding the attribute's real name or the literal's value.
type operand struct {
	text string
	attr string
	lit  *value
}

func (o *operand) isLiteral() bool { return o.text[0] == ':' }

type (
	// logic is AND or OR.
	logic struct {
		op          string
		left, right node
	}
	not     struct{ of node }
	compare struct {
		op          string // = <> < <= > >=
		left, right *operand
	}
	between struct{ of, low, high *operand }
	in      struct {
		of   *operand
		list []*operand
	}
	// call is a function that answers yes or no.
	call struct {
		name string
		args []*operand
	}
)

func (n *logic) String() string {
	return "(" + n.left.String() + " " + n.op + " " + n.right.String() + ")"
}
func (n *not) String() string     { return "(NOT " + n.of.String() + ")" }
func (n *compare) String() string { return n.left.text + " " + n.op + " " + n.right.text }
func (n *between) String() string {
	return n.of.text + " BETWEEN " + n.low.text + " AND " + n.high.text
}
func (n *in) String() string   { return n.of.text + " IN (" + texts(n.list) + ")" }
func (n *call) String() string { return n.name + "(" + texts(n.args) + ")" }

func texts(list []*operand) string {
	var all []string
	for _, o := range list {
		all = append(all, o.text)
	}
	return strings.Join(all, ", ")
}

// walk visits n and all conditions inside it.
func walk(n node, visit func(node)) {
	visit(n)
	switch n := n.(type) {
	case *logic:
		walk(n.left, visit)
		walk(n.right, visit)
	case *not:
		walk(n.of, visit)
	}
}

// operands lists what a leaf of the tree compares, in the order written.
func operands(n node) []*operand {
	switch n := n.(type) {
	case *compare:
		return []*operand{n.left, n.right}
	case *between:
		return []*operand{n.of, n.low, n.high}
	case *in:
		return append([]*operand{n.of}, n.list...)
	case *call:
		return n.args
	}
	return nil
}
