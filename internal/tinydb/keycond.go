package tinydb

// keyCondition is a KeyConditionExpression after the parser: one hash value and at
// most one condition on the range key.
type keyCondition struct {
	hash value
	op   string // "" for none, else = < <= > >= BETWEEN begins_with
	a, b value  // b only for BETWEEN
}

// term is one of the conditions joined by AND.
type term struct {
	attr, op string
	a, b     value
}

// newKeyCondition reads a bound condition as one on the table's key.
func newKeyCondition(s schema, n node) (keyCondition, error) {
	var c keyCondition
	terms, err := flatten(n)
	if err != nil {
		return c, invalid("Invalid KeyConditionExpression: %s", err)
	}
	if len(terms) > 2 {
		return c, invalid("Conditions can be of length 1 or 2 only")
	}
	byAttr := map[string]term{}
	for _, t := range terms {
		if _, twice := byAttr[t.attr]; twice {
			return c, invalid("Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key")
		}
		byAttr[t.attr] = t
	}
	hash, ok := byAttr[s.hash.name]
	if !ok {
		return c, invalid("Query condition missed key schema element: %s", s.hash.name)
	}
	if hash.op != "=" {
		return c, invalid("Query key condition not supported")
	}
	c.hash = hash.a
	if err := checkKeyValue(s.hash, hash.a); err != nil {
		return c, err
	}
	if len(terms) == 1 {
		return c, nil
	}
	rng, ok := byAttr[s.rng.name]
	if !ok {
		if s.rng.name == "" {
			return c, invalid("Query key condition not supported")
		}
		return c, invalid("Query condition missed key schema element: %s", s.rng.name)
	}
	c.op, c.a, c.b = rng.op, rng.a, rng.b
	if err := checkKeyValue(s.rng, c.a); err != nil || c.op != "BETWEEN" {
		return c, err
	}
	if err := checkKeyValue(s.rng, c.b); err != nil {
		return c, err
	}
	if c.a.order() > c.b.order() {
		return c, invalid("Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: %s, upper bound operand: %s",
			c.a.describe(), c.b.describe())
	}
	return c, nil
}

func checkKeyValue(attr keyAttr, v value) error {
	if v.typ != attr.typ {
		return invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
	}
	if v.typ != "N" && v.str == "" {
		return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", attr.name)
	}
	return nil
}

// flatten lists the terms of a tree of ANDs and refuses everything else.
func flatten(n node) ([]term, error) {
	wrong := func(op string) ([]term, error) {
		return nil, syntax("Invalid operator used in KeyConditionExpression: %s", op)
	}
	ops := operands(n)
	var t term
	switch n := n.(type) {
	case *logic:
		if n.op != "AND" {
			return wrong(n.op)
		}
		left, err := flatten(n.left)
		if err != nil {
			return nil, err
		}
		right, err := flatten(n.right)
		return append(left, right...), err
	case *not:
		return wrong("NOT")
	case *in:
		return wrong("IN")
	case *compare:
		if n.op == "<>" {
			return wrong(n.op)
		}
		t.op = n.op
	case *between:
		t.op = "BETWEEN"
	case *call:
		if n.name != "begins_with" {
			return wrong(n.name)
		}
		t.op = n.name
	}
	if ops[0].isLiteral() || !ops[1].isLiteral() || !ops[len(ops)-1].isLiteral() {
		return nil, syntax("Invalid condition in KeyConditionExpression: an attribute must be compared to a value, in this order")
	}
	t.attr, t.a, t.b = ops[0].attr, *ops[1].lit, *ops[len(ops)-1].lit
	return []term{t}, nil
}

// span gives the part of the table that the condition selects.
func (t *table) span(c keyCondition) span {
	prefix := partition(c.hash)
	all := t.withPrefix(prefix)
	key := prefix + c.a.order()
	switch c.op {
	case "=":
		return span{t.before(key), t.after(key)}
	case "<":
		return span{all.lo, t.before(key)}
	case "<=":
		return span{all.lo, t.after(key)}
	case ">":
		return span{t.after(key), all.hi}
	case ">=":
		return span{t.before(key), all.hi}
	case "BETWEEN":
		return span{t.before(key), t.after(prefix + c.b.order())}
	case "begins_with":
		return t.withPrefix(key)
	}
	return all
}
