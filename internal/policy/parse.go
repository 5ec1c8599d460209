package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Parse reads a policy document. It is strict where IAM is: an element that is not
// in the grammar, is there twice or is missing is an error that names it.
func Parse(data []byte) (*Policy, error) {
	members, err := object(data)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p := new(Policy)
	for _, m := range members {
		switch m.name {
		case "Version":
			p.Version, err = text(m.value)
			if err == nil && p.Version != Version2012 && p.Version != Version2008 {
				err = fmt.Errorf("%q is not %s or %s", p.Version, Version2012, Version2008)
			}
		case "Id":
			p.ID, err = text(m.value)
		case "Statement":
			p.Statements, err = statements(m.value)
		default:
			err = errors.New("not an element of a policy (Version, Id, Statement)")
		}
		if err != nil {
			return nil, fmt.Errorf("policy: %s: %w", m.name, err)
		}
	}
	if len(p.Statements) == 0 {
		return nil, errors.New("policy: it has no Statement")
	}
	for _, s := range p.Statements {
		if s.ofResource() != p.Statements[0].ofResource() {
			return nil, errors.New("policy: some statements have a Principal and others do not")
		}
	}
	return p, nil
}

func statements(data []byte) ([]Statement, error) {
	raw := []json.RawMessage{data}
	if data[0] == '[' {
		if err := json.Unmarshal(data, &raw); err != nil {
			return nil, err
		}
	}
	var all []Statement
	for i, one := range raw {
		s, err := statement(one)
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func statement(data []byte) (s Statement, err error) {
	members, err := object(data)
	if err != nil {
		return s, err
	}
	for _, m := range members {
		switch m.name {
		case "Sid":
			s.Sid, err = text(m.value)
		case "Effect":
			var effect string
			effect, err = text(m.value)
			s.Effect = Effect(effect)
			if err == nil && s.Effect != EffectAllow && s.Effect != EffectDeny {
				err = fmt.Errorf("%q is not Allow or Deny", effect)
			}
		case "Principal":
			s.Principal, err = principal(m.value)
		case "NotPrincipal":
			s.NotPrincipal, err = principal(m.value)
		case "Action":
			s.Action, err = actions(m.value)
		case "NotAction":
			s.NotAction, err = actions(m.value)
		case "Resource":
			s.Resource, err = someTexts(m.value)
		case "NotResource":
			s.NotResource, err = someTexts(m.value)
		case "Condition":
			s.Condition, err = conditions(m.value)
		default:
			err = errors.New("not an element of a statement")
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	switch {
	case s.Effect == "":
		err = errors.New("it has no Effect")
	case (s.Action == nil) == (s.NotAction == nil):
		err = errors.New("it needs one of Action and NotAction")
	case (s.Resource == nil) == (s.NotResource == nil):
		err = errors.New("it needs one of Resource and NotResource")
	case s.Principal != nil && s.NotPrincipal != nil:
		err = errors.New("it has both Principal and NotPrincipal")
	}
	return s, err
}

// principal keeps "*" or an object as it is, but for white space.
func principal(data []byte) (json.RawMessage, error) {
	if data[0] == '{' {
		kinds, err := object(data)
		if err != nil {
			return nil, err
		}
		for _, kind := range kinds {
			if _, err := someTexts(kind.value); err != nil {
				return nil, fmt.Errorf("%s: %w", kind.name, err)
			}
		}
	} else if s, err := text(data); err != nil || s != "*" {
		return nil, errors.New(`neither "*" nor an object`)
	}
	var b bytes.Buffer
	err := json.Compact(&b, data)
	return b.Bytes(), err
}

func actions(data []byte) (Values, error) {
	all, err := someTexts(data)
	for _, a := range all {
		if a != "*" && !strings.Contains(a, ":") {
			return nil, fmt.Errorf("%q names no service; write dynamodb:%s", a, a)
		}
	}
	return all, err
}

func conditions(data []byte) (Conditions, error) {
	operators, err := object(data)
	if err != nil {
		return nil, err
	}
	var all Conditions
	for _, op := range operators {
		keys, err := object(op.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.name, err)
		}
		for _, key := range keys {
			values, err := texts(key.value, true)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", op.name, key.name, err)
			}
			all = append(all, Condition{op.name, key.name, values})
		}
	}
	return all, nil
}

// member is a name and its value in a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// object reads an object in its order. encoding/json would take the last of two
// members of one name, and names in any case; IAM takes neither.
func object(data []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	start, err := dec.Token()
	if err != nil {
		return nil, readable(err)
	}
	if start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var all []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, readable(err)
		}
		m := member{name: name.(string)} // names of an object are strings
		if err := dec.Decode(&m.value); err != nil {
			return nil, readable(err)
		}
		if slices.ContainsFunc(all, func(other member) bool { return other.name == m.name }) {
			return nil, fmt.Errorf("%s is there twice", m.name)
		}
		all = append(all, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, readable(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the end of the object")
	}
	return all, nil
}

func readable(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the JSON ends too early")
	}
	return err
}

func text(data []byte) (string, error) {
	var s string
	if data[0] != '"' || json.Unmarshal(data, &s) != nil {
		return "", errors.New("not a string")
	}
	return s, nil
}

// someTexts reads a string or a list of strings that is not empty.
func someTexts(data []byte) (Values, error) {
	all, err := texts(data, false)
	if err == nil && len(all) == 0 {
		err = errors.New("the list is empty")
	}
	return all, err
}

// texts reads a string or a list of strings. Booleans and numbers need no quotes
// as values of conditions.
func texts(data []byte, bare bool) (Values, error) {
	raw := []json.RawMessage{data}
	if data[0] == '[' {
		if err := json.Unmarshal(data, &raw); err != nil {
			return nil, err
		}
	}
	all := Values{}
	for _, one := range raw {
		s, err := text(one)
		if err != nil && bare && strings.IndexByte("tf-0123456789", one[0]) >= 0 {
			s, err = string(one), nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
