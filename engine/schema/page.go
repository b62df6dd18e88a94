package schema

import (
	"fmt"
	"strings"

	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// generated is the first line of each page.
const generated = "<!-- Written by go run ./engine/schema/gen from the structs in tasks/. Do not edit. -->\n\n"

// Index is the page that lists the kinds.
func Index(kinds *task.Registry) string {
	var b strings.Builder
	b.WriteString(generated + "# Kinds of tasks\n\nA task of a playbook has one of these keys, with the parameters of the kind below it.\n\n")
	b.WriteString("| kind | what it does |\n| --- | --- |\n")
	for _, k := range kinds.Kinds() {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s |\n", k.Name, k.Name, cell(k.Summary))
	}
	b.WriteString(legend + rules(kinds))
	return b.String()
}

const legend = `
## How to read the tables

- **short form**: a value that is no map stands for this parameter.
- **one of**: exactly one of the parameters named may be given; **at most one of**: or none.
- **lazy**: obtained only when a change is about to be applied. It may come from a task with ` + "`run: on_demand`" + `, which
  then runs only if it is needed.
- **secret**: never shown in any output, log, diff or report.
- Any value may be written as ` + "`${{ … }}`" + `. A parameter that is null is left out.

| type | is written |
| --- | --- |
| path | an absolute path on the host |
| local, source, template | a path on the controller, relative to the playbook |
| content | text of a file, in which ` + "`${{ }}`" + ` and its directives are evaluated |
| mode | octal text, "0644" |
| duration | "30s", "5m", "1h30m" |
| size | "500M", "10Gi" |
| version | 1.29.6 |
| condition | an expression without ` + "`${{ }}`" + `, evaluated by kflow |
| expr | an expression without ` + "`${{ }}`" + `, evaluated by the kind |
| any | any value |
`

// Page is the documentation of a kind.
func Page(k task.Kind) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# %s\n\n%s.\n", generated, k.Name, strings.TrimSuffix(k.Summary, "."))
	if doc := strings.TrimSpace(k.Doc); doc != "" {
		b.WriteString("\n" + doc + "\n")
	}
	parameters := shape.Of(k.New())
	b.WriteString("\n## Parameters\n\n")
	if len(parameters.Fields) == 0 {
		b.WriteString("None.\n")
	} else {
		b.WriteString("| parameter | type | default | |\n| --- | --- | --- | --- |\n")
		rows(&b, parameters, "", true)
	}
	if k.Outputs != nil {
		b.WriteString("\n## Outputs\n\nRead as `tasks.<id>.outputs.<name>`.\n\n| output | type | |\n| --- | --- | --- |\n")
		rows(&b, shape.Of(k.Outputs), "", false)
	}
	behaviour(&b, k)
	checks(&b, k)
	for i, e := range k.Examples {
		if i == 0 {
			b.WriteString("\n## Examples\n")
		}
		fmt.Fprintf(&b, "\n%s:\n\n```yaml\n%s\n```\n", strings.TrimSuffix(e.Title, ":"), strings.TrimRight(e.YAML, "\n"))
	}
	return b.String()
}

// rows writes a row for each field, those of nested structs below theirs.
func rows(b *strings.Builder, t *shape.Type, prefix string, parameters bool) {
	for _, f := range t.Fields {
		path := prefix + f.Name
		if parameters {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", path, cell(typeName(f.Type)), defaultText(f), cell(remarks(t, f)))
		} else {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", path, cell(typeName(f.Type)), cell(remarks(t, f)))
		}
		inner, suffix := f.Type, "."
		for inner.Elem != nil {
			suffix = map[shape.Kind]string{shape.List: "[]", shape.Map: ".<key>"}[inner.Kind] + suffix
			inner = inner.Elem
		}
		if inner.Kind == shape.Object {
			rows(b, inner, path+suffix, parameters)
		}
	}
}

// typeName is the type as the tables name it.
func typeName(t *shape.Type) string {
	switch {
	case len(t.Enum) > 0:
		return "`" + strings.Join(t.Enum, "`, `") + "`"
	case t.Kind == shape.List && t.OneOK:
		return "list of " + typeName(t.Elem) + ", or one"
	case t.Kind == shape.List && t.Elem.OneOK:
		return "list of (" + typeName(t.Elem) + ")"
	case t.Kind == shape.List:
		return "list of " + typeName(t.Elem)
	case t.Kind == shape.Map && t.Elem.Kind == shape.Any:
		return "map"
	case t.Kind == shape.Map:
		return "map of " + typeName(t.Elem)
	case t.Kind == shape.String && t.Format != "":
		return t.Format
	case t.Kind == shape.Any:
		return "any"
	}
	return t.Kind.String()
}

func defaultText(f shape.Field) string {
	switch {
	case f.Default != nil && *f.Default == "":
		return "empty"
	case f.Default != nil:
		return "`" + cell(*f.Default) + "`"
	case f.Required:
		return "**required**"
	}
	return ""
}

// remarks are the documentation of a field and its traits.
func remarks(t *shape.Type, f shape.Field) string {
	parts := []string{}
	if f.Doc != "" {
		parts = append(parts, strings.TrimSuffix(f.Doc, ".")+".")
	}
	if f.Short {
		parts = append(parts, "**Short form**.")
	}
	if f.Arm != "" {
		var names []string
		for _, g := range t.Fields {
			if g.Arm == f.Arm {
				names = append(names, "`"+g.Name+"`")
			}
		}
		word := "One of"
		if f.ArmMay {
			word = "At most one of"
		}
		parts = append(parts, "**"+word+"** "+strings.Join(names, ", ")+".")
	}
	if f.Min != nil {
		parts = append(parts, fmt.Sprintf("At least %d.", *f.Min))
	}
	if f.Lazy {
		parts = append(parts, "**Lazy**.")
	}
	if f.Secret {
		parts = append(parts, "**Secret**.")
	}
	return strings.Join(parts, " ")
}

// checks are the rules a kind knows about what goes together.
func checks(b *strings.Builder, k task.Kind) {
	c, ok := k.New().(task.Coupler)
	if !ok {
		return
	}
	b.WriteString("\n## Rules\n\nChecked before a host is reached; `allow` switches one off, with a reason.\n\n| rule | fact | source |\n| --- | --- | --- |\n")
	for _, r := range c.Couplings() {
		name := "`" + r.Rule + "`"
		if r.Warning {
			name += " (warning)"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, cell(r.Fact), cell(r.Source))
	}
}

// behaviour says what the optional interfaces of a kind mean for its user.
func behaviour(b *strings.Builder, k task.Kind) {
	var lines []string
	p := k.New()
	if _, ok := p.(task.Actor); ok {
		lines = append(lines, "Can be an action, which runs once per run; else a state, which is asked again and must then have no changes.")
	} else {
		lines = append(lines, "A state: after its changes it is asked again, and must have none.")
	}
	if _, ok := p.(task.Toucher); ok {
		lines = append(lines, "Says what it reads and writes on the host, so that `kflow validate` finds tasks that get into each other's way.")
	}
	if k.Class != "" {
		lines = append(lines, fmt.Sprintf("One task of the class `%s` at a time on a host.", k.Class))
	}
	if k.SecretOutputs {
		lines = append(lines, "Its outputs are secret and are never stored: it runs on demand, and again after a resume.")
	}
	b.WriteString("\n## Behaviour\n\n- " + strings.Join(lines, "\n- ") + "\n")
}

// cell is text for a cell of a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
