// Package schema writes down, from the Go structs of the kinds, what editors and people need to know of the language: a
// JSON schema of playbooks, one of inventories, a page of documentation for each kind, and one for expressions. Nothing of
// it is kept by hand; a test fails when these files are not what this package makes.
//
// # Schemas are for editors
//
// kflow checks playbooks itself, with positions and in its own words. The schemas let an editor complete keys, show
// their documentation and underline mistakes while they are typed. They are draft-07, the newest that yaml-language-server
// reads, and never refuse what kflow accepts: where a rule can't be said, they are wider. A value may be written as
// ${{ … }} wherever kflow allows that; a scalar is taken by the type that is wanted, so a version may be written 1.29.
//
// # Errors at the right place
//
// Editors show errors inside of oneOf and anyOf badly: they can't know which branch was meant. So a task is one object
// with a property for each kind, and alternatives only say which keys must be there. A value that may have several types
// is, where possible, one schema with a list of types: each keyword of JSON schema looks only at values of its type.
//
// # Generating
//
//	go run ./engine/schema/gen
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// node is a JSON schema, or a part of one.
type node map[string]any

// Playbook returns the JSON schema of playbooks that use the kinds.
func Playbook(kinds *task.Registry) ([]byte, error) {
	definitions := node{"task": taskSchema(kinds), "change": overrideSchema(kinds)}
	for _, k := range kinds.Kinds() {
		definitions["kind_"+k.Name] = kindSchema(k)
		definitions["piece_"+k.Name] = nullable(piece(kindSchema(k)))
	}
	return write(document("playbook", "A playbook of kflow", playbookSchema(kinds), definitions))
}

// Inventory returns the JSON schema of inventories. Kinds play no part in it.
func Inventory(*task.Registry) ([]byte, error) {
	return write(document("inventory", "An inventory of kflow", inventorySchema(), inventoryDefinitions()))
}

// Files returns everything that is generated, by path from the root of the repository.
func Files(kinds *task.Registry) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, make := range map[string]func(*task.Registry) ([]byte, error){"playbook": Playbook, "inventory": Inventory} {
		b, err := make(kinds)
		if err != nil {
			return nil, err
		}
		files["schema/"+name+".schema.json"] = b
	}
	for _, k := range kinds.Kinds() {
		files["docs/kinds/"+k.Name+".md"] = []byte(Page(k))
	}
	files["docs/kinds/README.md"] = []byte(Index(kinds))
	files["docs/expressions.md"] = []byte(Expressions())
	return files, nil
}

// document makes a schema a document of its own.
func document(name, title string, schema, definitions node) node {
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["$id"] = "https://github.com/kflow/kflow/schema/" + name + ".schema.json"
	schema["title"] = title
	schema["definitions"] = definitions
	return schema
}

// write is the schema as text. Keys are sorted, so equal schemas are equal texts.
func write(schema node) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(schema); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return b.Bytes(), nil
}

// kindSchema is the schema of the parameters of a kind.
func kindSchema(k task.Kind) node {
	t := shape.Of(k.New())
	n := value(t)
	n["description"] = k.Summary
	for _, f := range t.Fields {
		if f.Required {
			return n
		}
	}
	return nullable(n) // `swap:` with nothing behind it is a kind without parameters
}

func ref(name string) node { return node{"$ref": "#/definitions/" + name} }
