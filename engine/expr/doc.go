// Package expr is everything kflow does with expressions: it reads them with their places, finds the names they mention,
// checks their types, and computes them.
//
// # What is expr's and what is ours
//
// Lexer, parser, compiler and machine are those of github.com/expr-lang/expr, so the language is the one its users know.
// Between parser and compiler stand a type check and a rewriting of our own, for four reasons:
//
//   - one system of types. Inputs, outputs, facts and parameters are described by package shape; expressions are checked
//     against the same descriptions, so formats, enums and secrets are known inside of them. A comparison with a status
//     that does not exist, or of two versions letter by letter, is an error when the playbook is read.
//   - all mistakes, at their places, in our words. expr's checker stops at the first one and names Go types.
//   - strictness. expr reads a missing key of a map as nil, and nil as false in some places. Here each access `a.b.c` is
//     compiled into one call that knows what is declared: a key that is missing is an error, unless it stands left of
//     `??` or behind `?.`; a declared member of a Go struct that was left out because it is zero is zero again. One call
//     for a whole chain is also faster than expr's own steps.
//   - determinism and limits. Functions with a clock, an order of keys that changes, or results that grow without bound
//     are replaced or left out.
//
// # Life of an expression
//
// Parse (bare expressions), ParseTemplate (text with ${{ }}) and ParseDocument (templates with directives) read text. The
// caller gives a Locator, which knows where in the file each character stands; every message has line and column. Refs
// are known from here on: the tasks an expression mentions are edges of the graph, so `tasks[x]` is refused.
//
// Check binds an expression to a Scope, the types of all names at a place of the playbook, and compiles it. Afterwards
// Type and Secret are known. Secret is a taint: it is set when anything the expression reads is secret.
//
// Eval computes it for one host, from an Env of plain values, from any number of goroutines. A condition takes less than
// a microsecond. Errors name the expression and the part of it that failed, never a value of one that reads secrets.
//
// # Meaning
//
// As in expr, with these differences. `+` and `-` work on lists too. `a.b ?? c` gives c when b is missing, or cannot be
// had because a task failed. Parts of texts are counted in characters. `where(list, condition)` filters. `if {} else {}`
// is not there; `? :` chooses. In `on` and `at` groups are named without `groups.`, a host counts as a list of one, and
// an index out of range is no host. Functions lists all functions.
//
// # Limits
//
// expr's machine cannot be stopped, so what it may do is bounded: 16 KiB of source, 2000 nodes, texts of 1 MiB, lists of
// a million entries. Loops inside of loops can still take long; the author of a playbook is trusted that far.
package expr
