// Package syntax reads YAML into a tree of nodes with positions, and says what is wrong in kflow's own words. It is the
// only reader of YAML in the engine; playbooks, inventories and files of inputs all come through it.
//
// # What is accepted
//
// One document of UTF-8 text of at most 4 MiB: mappings with text as keys, sequences, scalars of all five styles,
// comments, anchors and aliases. Refused, each with its place: a second document, duplicate keys, keys that are not
// text, explicit tags other than !!str, the merge key `<<` (what a mapping holds should be readable where it stands),
// control characters, recursion through aliases, nesting deeper than 100, and more than 200,000 nodes after aliases are
// counted at each place they are used: a "billion laughs" costs a counter, no memory.
//
// # Scalars have no type here
//
// A scalar keeps the text that was written and its style. What it means is decided by the one who knows what is wanted:
// 3.10 is a version or a number, 0644 a mode, `no` a word. Node.Any gives the meaning where anything is wanted: null,
// true, false, and numbers whose text is the usual text of that number; all else is text, so 3.10 stays 3.10 and 0644
// stays 0644.
//
// # Positions
//
// Lines and columns count from 1, columns in characters. A scalar's Pos is where its text begins (after an opening quote,
// on the first line of a block scalar). Node.Locate maps an offset of the decoded text to its place in the file, through
// escapes, folded lines and indentation; a mistake inside an expression is underlined where it stands.
//
// # Broken YAML
//
// yaml.v3 names the wrong line for most mistakes of indentation. When it refuses a file, traps.go looks for the mistake
// itself, with what a person should write instead; where it knows none, the first line is found that the text can't be
// read beyond. What only lacks quotes (bare.go) is read as if it had them, so that the rest of the file is looked at too.
// Beyond a limit nothing is read, and nothing is said.
package syntax
