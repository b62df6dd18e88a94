// Package playbook reads playbooks: YAML files become one tree of typed tasks with positions, or a list of everything
// that is wrong with them. Nothing here knows an inventory, a host or a run; package plan joins them.
//
// # What Load does
//
//  1. package syntax reads the file into nodes with positions (strict: duplicate keys, tags, YAML's own traps).
//  2. Every `use` is followed, file by file. Its `override` is merged into the nodes of the part before the part is
//     decoded, so an overridden value is checked like a written one and its position is the override's.
//  3. Keys, names, kinds and parameters are decoded by the type of what they are for: a literal is converted from its
//     raw text and checked at once; text with ${{ }} becomes an expression or a template of a Value.
//  4. Names are resolved: `needs`, `before`, `tasks.<id>` become pointers to tasks, and edges (Need) with a reason.
//  5. Expressions are type-checked in the scope of the file and task they are written in.
//  6. Rules about the whole are checked: cycles, locks, on-demand tasks, secret outputs.
//
// Mistakes are collected over all steps; a tree is returned together with them as far as it could be made, and is only
// to be carried out when the list has no errors.
//
// # The tree
//
// A Playbook has Tasks, a Task is a leaf (Kind and Params), a block (Steps) or the use of a part (Part, and Steps are
// the part's tasks). Each use of a file is a tree of its own: the same file used twice gives two Playbooks, with paths
// "a/x" and "b/x". Playbook.All of the root holds all tasks, depth first in the order of the files, containers before
// their steps; Task.Index is the place in it.
//
// # Where an expression belongs
//
// Names mean what they mean where they are written. A Site says where: the file, whose inputs `inputs` are, and the
// task from which `tasks.<id>` is looked up, among siblings first and then outward in the same file. Values in `with`
// and `override` belong to the file that uses the part, though they are evaluated for the tasks inside it. To evaluate
// something for a host, make the environment of its Site: Site.File.Inputs gives the inputs (for a part from Arg
// values, which have their own Site, for the root from Inputs.Merge), Site.Lookup the tasks.
//
// # Values
//
// A parameter is a Value: a literal, an expression, a template, a list or a map, each with its position and the type
// that is wanted. Value.Resolve turns it into the plain value that shape.Resolve takes.
//
// # Edges
//
// Task.Needs lists what a task waits for: written needs, `before` of others, the step before it, and the tasks that its
// expressions mention. Targets may be blocks and parts, as written; Playbook.Edges gives the same between leaves.
// A task removed by an override is not in the tree; whatever needed it needs what it needed instead.
// Steps wait for the step before them; a step with `run: always` or `on_failure` for all steps before it, and the next
// ordinary step for it too. An expression that reads tasks.<id>.all waits for all instances (Form All).
//
// # What later stages call
//
//	Load(ctx, file, Options) (*Playbook, *Sources, diag.List)
//	(*Playbook) All() []*Task                        every task, depth first
//	(*Playbook) Parts() []*Playbook                  itself and all parts
//	(*Playbook) Lookup() expr.Lookup                 for lookup_file, under expr.LookupKey of an environment
//	(*Playbook) Edges() []Edge                       leaf to leaf, without repetitions
//	(*Playbook) GroupsNeeded() []*Group              of the file and its parts, merged
//	(*Playbook) Confirms() []*Value                  of the file and its parts
//	(*Playbook) StaticAsserts() []Assertion          conditions that inputs and inventory decide
//	ResultType(outputs)                              what `result` is in `until`: ok, changed, failure, outputs
//	(Inputs) Merge(given ...Given) (*Values, diag.List)
//	(*Value) Resolve(Resolver) (Resolved, error)     Resolver.Envs gives the environment of a Site
//	(*Value) Canonical() (string, error)             the same for two values that mean the same
//	(*Value) Walk(func(*Value)), Get(keys...), Static() bool
//	(Site) Lookup(id) *Task
//	(*Task) Timing(Envs) (Timing, error), (*Count) Of(Envs, hosts) (int, error)
//	(*Task) Refs() []TaskRef                         tasks its expressions mention, with the local name
//	(*Task) Leaves() []*Task                         itself, or the leaves inside
//	(*Task) Allows(rule) bool                        `allow` switches the rule off there
//	(*Value) Known(env, item)                        what of it is known before a host is reached
//
// # Names
//
// Ids, inputs and groups are [a-z][a-z0-9_]*. Names of the environment (inputs, host, hosts, groups, tasks, item, run,
// result, all, controller) are reserved for all three; names of functions are reserved for groups alone, because only
// groups are written bare (in `on` and `at`): `tasks.join` and `inputs.version` are no ambiguity.
package playbook
