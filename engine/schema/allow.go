package schema

import (
	"github.com/kflow/kflow/engine/playbook"
	"github.com/kflow/kflow/engine/task"
)

// allowSchema is the key that switches rules off.
func allowSchema(kinds *task.Registry) node {
	return about(node{"type": types("array", "null"), "items": node{
		"type": "object", "required": []string{"rule", "reason"}, "additionalProperties": false,
		"properties": node{
			"rule":   about(node{"enum": playbook.Rules(kinds)}, "Name of the rule."),
			"reason": word("Why it need not hold here."),
		},
	}}, "Rules that are switched off here and inside, each with a reason.")
}
