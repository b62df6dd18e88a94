// Package run carries a plan out: it stands between the scheduler, which says what may start, the connections, which do
// it, and the checkpoint, which remembers.
//
// # An instance, from its turn to its end
//
//  1. When: is there a result of an earlier session that still holds (see Reuse)? Else the condition is evaluated.
//  2. Do: parameters are resolved for the host, without the lazy ones, and a fingerprint is taken of them.
//  3. The request goes to the place where the instance is carried out. If it answers that there is something to change
//     and lazy parameters are needed, their producers are demanded, the request is completed and sent again.
//  4. The outcome becomes a result, its outputs are kept for others, and the end goes into the log.
//
// # Reuse
//
// A result of an earlier session holds when the fingerprint is the same, the machine is the same, and nothing the
// instance needs has run anew in this session. The fingerprint covers kind, parameters (with the hashes of files that
// are sent), the text of `when`, and the fingerprints of what the parameters read from other tasks; not the lazy
// parameters, not positions, not the order of keys. A skipped instance stays skipped while the text of its condition is
// the same: the condition may well be false now because of what the run has done. The same holds for the conditions of
// blocks, which are recorded as they are entered. Where the finally of a block has run, its steps hold together or not at
// all (see findUndone).
//
// # Secrets
//
// Texts that come from secret inputs, variables or outputs are learnt by the masker before they are used; every event
// goes through it before it reaches the log or a display. Outputs that hold a secret are not stored: whoever reads them
// after a resume makes their producer run again.
//
// # Lost hosts
//
// A connection that ends in mid task leaves the fate of the request unknown. A state is asked again after a new dial;
// an action (a command that is not guarded) is not repeated but ends as unknown, and nothing more is started on its host:
// not in this session, and not in a later one before a person has said what became of it (see stopHosts).
package run
