package tinydb

import "strings"

// of gives the operand's value for an item; an item may lack the attribute.
func (o *operand) of(it item) (value, bool) {
	if o.lit != nil {
		return *o.lit, true
	}
	v, ok := it[o.attr]
	return v, ok
}

func (n *logic) eval(it item) bool {
	if n.op == "AND" {
		return n.left.eval(it) && n.right.eval(it)
	}
	return n.left.eval(it) || n.right.eval(it)
}

func (n *not) eval(it item) bool { return !n.of.eval(it) }

func (n *compare) eval(it item) bool { return holds(n.op, n.left, n.right, it) }

func (n *between) eval(it item) bool {
	return holds(">=", n.of, n.low, it) && holds("<=", n.of, n.high, it)
}

func (n *in) eval(it item) bool {
	for _, member := range n.list {
		if holds("=", n.of, member, it) {
			return true
		}
	}
	return false
}

// holds compares two operands. An attribute that is missing is unequal to all and
// in no order with any; values of two types are unequal and in no order either.
func holds(op string, left, right *operand, it item) bool {
	a, hasA := left.of(it)
	b, hasB := right.of(it)
	equal := hasA && hasB && a.equal(b)
	switch op {
	case "=":
		return equal
	case "<>":
		return !equal
	}
	if !hasA || !hasB || a.typ != b.typ || !a.ordered() {
		return false
	}
	order := strings.Compare(a.order(), b.order())
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (n *call) eval(it item) bool {
	v, ok := n.args[0].of(it)
	switch n.name {
	case "attribute_exists":
		return ok
	case "attribute_not_exists":
		return !ok
	}
	w, okArg := n.args[1].of(it)
	if !ok || !okArg {
		return false
	}
	if n.name == "begins_with" {
		return v.typ == w.typ && (v.typ == "S" || v.typ == "B") && strings.HasPrefix(v.str, w.str)
	}
	return v.contains(w)
}

// contains is a substring of S or B, or a member of a set or list.
func (v value) contains(w value) bool {
	if v.typ == "S" || v.typ == "B" {
		return v.typ == w.typ && strings.Contains(v.str, w.str)
	}
	for _, member := range v.list {
		if member.equal(w) {
			return true
		}
	}
	return false
}
