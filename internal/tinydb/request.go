package tinydb

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decode reads an operation's JSON body into the struct that into points at. The
// struct's json names are the parameters the operation implements; any other one
// that is set is refused by name, so that nothing is silently left undone.
func decode(op string, body []byte, into any) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(body, &given); err != nil {
		return serialization("")
	}
	known := parameters(reflect.TypeOf(into).Elem())
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !known[name] && string(given[name]) != "null" {
			return unimplemented("parameter %s of %s", name, op)
		}
	}
	err := json.Unmarshal(body, into)
	var api *apiError
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api):
		return api
	case errors.As(err, &mismatch):
		return serialization(strings.ToUpper(mismatch.Value) + "_VALUE cannot be converted to " + jsonName(mismatch.Type))
	}
	return serialization("")
}

// parameters lists the json names of a struct's fields, embedded structs included.
func parameters(t reflect.Type) map[string]bool {
	names := map[string]bool{}
	for f := range t.Fields() {
		if f.Anonymous {
			maps.Copy(names, parameters(f.Type))
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		names[name] = true
	}
	return names
}

// jsonName is the service's word for the type it had hoped for.
func jsonName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonName(t.Elem())
	case reflect.Bool:
		return "Boolean"
	case reflect.Int, reflect.Int64:
		return "Integer"
	case reflect.Slice:
		return "List"
	case reflect.Map, reflect.Struct:
		return "Map"
	}
	return "String"
}

// oneOf refuses an enum value that is not in the list; an empty one means the first.
func oneOf(name string, given *string, allowed ...string) error {
	if *given == "" {
		*given = allowed[0]
	}
	if !slices.Contains(allowed, *given) {
		return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
			*given, lowerFirst(name), strings.Join(allowed, ", "))
	}
	return nil
}

func missing(name string) error {
	return invalid("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", lowerFirst(name))
}

// lowerFirst turns a parameter's name into the form validation messages use.
func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
