package schema

import (
	"fmt"
	"strings"

	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// Text is the documentation of a kind for a terminal: what Page has, without tables. touches says what the tasks of an
// example read and write; nil leaves that out.
func Text(k task.Kind, touches func(task.Example) task.Touches) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s.\n", k.Name, strings.TrimSuffix(k.Summary, "."))
	if doc := strings.TrimSpace(k.Doc); doc != "" {
		b.WriteString("\n" + doc + "\n")
	}
	b.WriteString("\nPARAMETERS\n")
	fields(&b, shape.Of(k.New()), "", true)
	if k.Outputs != nil {
		b.WriteString("\nOUTPUTS (tasks.<id>.outputs.<name>)\n")
		fields(&b, shape.Of(k.Outputs), "", false)
	}
	if c, ok := k.New().(task.Coupler); ok {
		b.WriteString("\nRULES (checked before a host is reached; `allow` switches one off)\n")
		for _, r := range c.Couplings() {
			fmt.Fprintf(&b, "  %s\n%s", r.Rule, wrapped(r.Fact+" ("+r.Source+")"))
		}
	}
	for i, e := range k.Examples {
		if i == 0 {
			b.WriteString("\nEXAMPLES\n")
		}
		fmt.Fprintf(&b, "\n  # %s\n  %s\n", strings.TrimSuffix(e.Title, ":"), strings.ReplaceAll(strings.TrimRight(e.YAML, "\n"), "\n", "\n  "))
		if touches == nil {
			continue
		}
		t := touches(e)
		touched(&b, "reads", t.Reads)
		touched(&b, "writes", t.Writes)
	}
	return b.String()
}

func touched(b *strings.Builder, verb string, things []string) {
	if len(things) > 0 {
		fmt.Fprintf(b, "  # %s %s\n", verb, strings.Join(things, ", "))
	}
}

// fields writes the fields of a struct, those of nested structs below theirs.
func fields(b *strings.Builder, t *shape.Type, prefix string, parameters bool) {
	for _, f := range t.Fields {
		line := "  " + prefix + f.Name + "  " + strings.ReplaceAll(typeName(f.Type), "`", "")
		if text := strings.NewReplacer("`", "", "**", "").Replace(defaultText(f)); parameters && text != "" {
			if f.Default != nil {
				text = "default " + text
			}
			line += ", " + text
		}
		b.WriteString(line + "\n" + wrapped(strings.NewReplacer("**", "").Replace(remarks(t, f))))
		inner, suffix := f.Type, "."
		for inner.Elem != nil {
			suffix = map[shape.Kind]string{shape.List: "[]", shape.Map: ".<key>"}[inner.Kind] + suffix
			inner = inner.Elem
		}
		if inner.Kind == shape.Object {
			fields(b, inner, prefix+f.Name+suffix, parameters)
		}
	}
}

// wrapped is text in lines of at most 100 characters, indented.
func wrapped(text string) string {
	const indent, width = "      ", 100
	var b strings.Builder
	line := indent
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > width && strings.TrimSpace(line) != "" {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += word + " "
	}
	if strings.TrimSpace(line) != "" {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
