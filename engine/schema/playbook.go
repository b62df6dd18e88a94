package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// name is what ids, groups and inputs are made of.
const name = "[a-z][a-z0-9_]*"

// about adds a description.
func about(n node, format string, args ...any) node {
	n["description"] = fmt.Sprintf(format, args...)
	return n
}

// word is plain text; a number or true is read as text too.
func word(description string) node {
	return about(node{"type": types("string", "number", "boolean", "null")}, "%s", description)
}

// bare is an expression without ${{ }}.
func bare(description string) node {
	return about(node{"type": types("string", "boolean", "number", "null")}, "%s", description)
}

// formatted is a scalar of a format, or an expression.
func formatted(kind shape.Kind, format, description string) node {
	return about(nullable(value(&shape.Type{Kind: kind, Format: format})), "%s", description)
}

// playbookSchema is a playbook without its definitions. engine/playbook reads the same keys.
func playbookSchema(kinds *task.Registry) node {
	return node{
		"type":                 "object",
		"required":             []string{"kflow", "tasks"},
		"additionalProperties": false,
		"properties": node{
			"kflow":       about(node{"const": "v1"}, "Version of the language: v1."),
			"name":        word("Name of the playbook."),
			"description": word("What the playbook does."),
			"inventory":   word("Path of the inventory to use when none is given, from the directory of this file."),
			"groups": about(node{"type": types("object", "null"), "propertyNames": nameSchema(), "additionalProperties": groupSchema()},
				"Groups of hosts that the playbook speaks of; the inventory fills them."),
			"inputs": about(node{"type": types("object", "null"), "propertyNames": nameSchema(), "additionalProperties": inputSchema()},
				"Values that a user of the playbook can give."),
			"confirm": word("Question that must be answered with yes, on the terminal or by --yes, before a destructive run."),
			"allow":   allowSchema(kinds),
			"tasks":   about(tasksSchema(), "The tasks. Order plays no part: what waits for what is said by needs, before, steps and the outputs that are read."),
			"outputs": about(node{"type": types("object", "null"), "propertyNames": nameSchema()},
				"Values given to the user of this part: tasks.<use>.outputs.<name>."),
		},
	}
}

func tasksSchema() node { return node{"type": types("array", "null"), "items": ref("task")} }

func nameSchema() node { return node{"pattern": "^" + name + "$"} }

func groupSchema() node {
	return node{"type": types("object", "null"), "additionalProperties": false, "properties": node{
		"min":         about(node{"type": types("integer", "string", "null"), "minimum": 0}, "Fewest hosts the group may have."),
		"max":         about(node{"type": types("integer", "string", "null"), "minimum": 0}, "Most hosts the group may have; 0 = no limit."),
		"description": word("What the hosts are for."),
	}}
}

func inputSchema() node {
	flag := func(text string) node { return about(node{"type": types("boolean", "string", "null")}, "%s", text) }
	bound := func(text string) node { return about(node{"type": types("number", "string", "null")}, "%s", text) }
	return node{"type": "object", "required": []string{"type"}, "additionalProperties": false, "properties": node{
		"type":        about(node{"enum": playbook.InputTypes()}, "Type of the value."),
		"element":     about(node{"enum": playbook.InputTypes()}, "Type of the elements of a list or map."),
		"default":     about(node{}, "Value when none is given. Without a default an input is required; null lets it be absent."),
		"required":    flag("Whether a value must be given; true unless there is a default."),
		"secret":      flag("Whether the value, and all that is computed from it, must never be shown."),
		"enum":        about(node{"type": types("array", "string", "number", "boolean", "null")}, "The values that are allowed."),
		"min":         bound("Least number, or least length."),
		"max":         bound("Greatest number, or greatest length."),
		"pattern":     word("Regular expression (RE2) that the whole text must match."),
		"description": word("What the value is for."),
	}}
}

// taskSchema is a task: common keys, and one key for what it does.
func taskSchema(kinds *task.Registry) node {
	properties := commonKeys(kinds)
	bodies := []node{{"required": []string{"steps"}}, {"required": []string{"use"}}}
	properties["steps"] = about(node{"type": "array", "items": ref("task"), "minItems": 1},
		"A block: tasks that run in this order, on each host by itself.")
	properties["use"] = about(node{"type": "string"}, "A part: path of the playbook that is used here, from the directory of this file.")
	properties["override"] = overridesSchema()
	for _, k := range kinds.Kinds() {
		properties[k.Name] = ref("kind_" + k.Name)
		bodies = append(bodies, node{"required": []string{k.Name}})
	}
	container := node{"anyOf": []node{{"required": []string{"steps"}}, {"required": []string{"use"}}}}
	return node{
		"type": "object", "required": []string{"id"}, "additionalProperties": false, "properties": properties,
		"dependencies": node{"with": []string{"use"}, "override": []string{"use"}},
		"allOf": []node{
			{"if": container, "then": node{"properties": node{"for_each": false, "at": false, "timeout": false}}},
			// a misspelt kind is said once: as a key that is not known
			{"if": node{"propertyNames": node{"enum": slices.Sorted(maps.Keys(properties))}}, "then": node{"oneOf": bodies}},
		},
	}
}

func overridesSchema() node {
	return about(node{"type": types("object", "null"),
		"propertyNames":        node{"pattern": "^" + name + "(/" + name + ")*$"},
		"additionalProperties": ref("change"),
	}, "Changes to tasks inside the part, by their path in it: null removes the task, keys are merged, another kind replaces.")
}

// overrideSchema is what an override may say of a task. Parameters are merged with those of the part, so a piece of them
// may stand here.
func overrideSchema(kinds *task.Registry) node {
	properties := commonKeys(kinds)
	properties["steps"] = about(tasksSchema(), "Tasks that take the place of what the task does.")
	properties["use"] = about(node{"type": types("string", "null")}, "Another part: path from the directory of this file.")
	properties["override"] = overridesSchema()
	for _, k := range kinds.Kinds() {
		properties[k.Name] = ref("piece_" + k.Name)
	}
	return node{"type": types("object", "null"), "additionalProperties": false, "properties": properties}
}

// commonKeys are the keys all tasks have.
func commonKeys(kinds *task.Registry) node {
	needs := func(text string) node {
		item := node{"type": "string", "pattern": "^" + name + "(/" + name + ")*(@all|@host)?$"}
		return about(node{"type": types("array", "string", "null"), "items": item, "pattern": item["pattern"]}, "%s", text)
	}
	count := func(text string) node {
		return about(node{"type": types("integer", "string", "null"), "minimum": 0, "pattern": or(`^\d+%?$`)}, "%s", text)
	}
	return node{
		"id":            about(node{"type": "string", "pattern": "^" + name + "$"}, "Name of the task in graphs, logs and checkpoints."),
		"name":          word("Title for people."),
		"on":            bare("Hosts the task runs on: an expression over groups, for example control_plane[0] or all - workers. Default: all."),
		"at":            bare("Where it is carried out, if not on its host: one host, reachable(group), or controller."),
		"needs":         needs("Tasks that must be done before: id, path/of/id, id@all (on all hosts), id@host (on the same host)."),
		"before":        needs("Tasks that wait for this one: needs, the other way round."),
		"when":          bare("Condition, evaluated once per host when the needs are met."),
		"for_each":      about(node{}, "List to loop over inside the task: an expression or a list; the element is `item`."),
		"retry":         retrySchema(),
		"timeout":       formatted(shape.String, "duration", "Time for one attempt, for example 15m."),
		"lock":          about(node{"type": types("string", "null"), "pattern": "^" + name + "$"}, "Named mutex: one holder in the whole run."),
		"max_parallel":  count("Hosts at once, in the order of `on`: a number or a percentage."),
		"max_failures":  count("Hosts that may fail before no more are started: a number or a percentage. 0 where max_parallel is set."),
		"allow_failure": about(node{"type": types("boolean", "string", "null"), "pattern": "^(true|false)$"}, "Whether what needs this task goes on when it fails."),
		"allow":         allowSchema(kinds),
		"run": about(node{"enum": []any{"on_success", "on_failure", "always", "on_demand", nil}, "default": "on_success"},
			"When it runs: its needs are met, one of them failed, in any case, or when its outputs are about to be read."),
		"with": about(node{"type": types("object", "null"), "propertyNames": nameSchema()}, "Values for the inputs of the part."),
	}
}

func retrySchema() node {
	keys := node{
		"attempts":  formatted(shape.Int, "", "Attempts in all, the first included. Default: 3."),
		"delay":     formatted(shape.String, "duration", "Time between attempts. Default: none."),
		"backoff":   formatted(shape.Float, "", "What the delay is multiplied by after each attempt. Default: 1."),
		"max_delay": formatted(shape.String, "duration", "Longest delay."),
		"until":     bare("Condition over `result` that ends the attempts; its default is success."),
	}
	return about(node{"type": types("integer", "object", "string", "null"), "minimum": 1, "pattern": or(`^\d+$`),
		"properties": keys, "additionalProperties": false}, "How often and how a failed attempt is made again: a number of attempts, or a map of %s.",
		strings.Join([]string{"attempts", "delay", "backoff", "max_delay", "until"}, ", "))
}
