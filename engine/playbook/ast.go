package playbook

import (
	"io"

	"github.com/kflow/kflow/engine/diag"
	"github.com/kflow/kflow/engine/expr"
	"github.com/kflow/kflow/engine/shape"
	"github.com/kflow/kflow/engine/task"
)

// Playbook is one use of one file: the root, or a part used by a task of another.
type Playbook struct {
	File        string   // path, as diagnostics name it
	Dir         string   // directory that relative paths of the file start from
	Pos         diag.Pos // of its first key
	Name        string
	Description string
	Inventory   string   // path of the inventory to use when none is given, resolved; "" = none
	InventoryAt diag.Pos // where it is named
	Groups      []*Group
	Inputs      Inputs
	Confirm     *Value // question before a destructive run; nil = none
	Allow       []Allow
	Tasks       []*Task
	Outputs     []*Output

	Use  *Task           // the task that uses this part; nil for the root
	Args map[string]*Arg // values of inputs given by `with`; an input without one has its default

	all    []*Task          // of the root: see All
	index  map[string]*Task // Tasks by id, removed ones too
	lookup expr.Lookup
}

// Group is a group of hosts that a playbook speaks of.
type Group struct {
	Name        string
	Min         int
	Max         int // 0 = no limit
	Description string
	Pos         diag.Pos
	File        *Playbook
}

// Output is a value a part gives to its user: tasks.<use>.outputs.<name>.
type Output struct {
	Name  string
	Pos   diag.Pos
	Value *Value
	Type  *shape.Type // what is known of it; Any when nothing is
}

// Arg is the value of an input of a part, in the scope of the task that uses it.
type Arg struct {
	Name  string
	Pos   diag.Pos // of the key
	Value *Value
}

// Run says when a task runs, by the results of what it needs.
type Run uint8

// The values of `run`.
const (
	OnSuccess Run = iota // all needs are met
	OnFailure            // at least one of its needs failed
	Always               // once any of its needs has started, whatever became of it
	OnDemand             // when a lazy parameter is about to read its outputs
)

func (r Run) String() string {
	return [...]string{"on_success", "on_failure", "always", "on_demand"}[r]
}

// Task is an entry of a playbook: a leaf (Kind), a block (Steps) or the use of a part (Part and Steps).
type Task struct {
	ID     string
	Path   string // ids from the root: "runtime/unit"
	Title  string // name for people; "" = none
	Pos    diag.Pos
	File   *Playbook // it is written in
	Parent *Task     // block or use around it; nil at the top of the root
	Index  int       // place in All of the root

	On      *Code  // nil = not given: all hosts, in a block or part those of its Parent
	At      *Code  // nil = on the host itself
	When    *Code  // nil = always
	ForEach *Value // list to loop over inside the instance; nil = no loop
	Needs   []Need
	Run     Run

	Lock         string // named mutex; "" = none
	Retry        *Retry
	Timeout      *Value // duration of one attempt; nil = none
	MaxParallel  *Count // nil = no limit of its own
	MaxFailures  *Count // nil = not given: 0 where MaxParallel is set
	AllowFailure bool

	Kind          *task.Kind // of a leaf
	Params        *Value     // of a leaf, of the type of the kind; Short forms are expanded
	SecretOutputs bool       // outputs must not be stored or shown

	Steps []*Task   // of a block or use
	Part  *Playbook // of a use

	Allow []Allow // rules that are switched off here and inside

	Keys map[string]diag.Pos // where the keys of the task stand: "when", "retry", the kind; for later diagnostics

	index   map[string]*Task // steps of a block by id, removed ones too
	removed diag.Pos         // an override took it out, here
	needs   []needText       // as written
	before  []needText
}

// Leaf tells whether the task has a kind, rather than tasks inside.
func (t *Task) Leaf() bool { return t.Kind != nil }

// Retry says how often and how a failed attempt is made again.
type Retry struct {
	Pos      diag.Pos
	Attempts *Value // whole number, the first attempt included; nil = 1, or without end where Until is given
	Delay    *Value // duration; nil = none
	Backoff  *Value // number the delay grows by; nil = 1
	MaxDelay *Value // duration; nil = none
	Until    *Code  // over `result`; nil = success ends it
}

// Count is a number of hosts, absolute or in percent.
type Count struct {
	Pos   diag.Pos
	Value *Value // text: "3", "10%", or an expression of that
}

// Form is how a need counts the hosts of its target.
type Form uint8

// The forms.
const (
	Auto Form = iota // host by host when every host of the dependent runs the target, else all
	All              // id@all: all instances of the target
	Host             // id@host: the instance of the same host, met where there is none
)

func (f Form) String() string { return [...]string{"auto", "all", "host"}[f] }

// Reason says where an edge comes from.
type Reason string

// The reasons.
const (
	ByNeeds  Reason = "needs"
	ByBefore Reason = "before"
	ByOrder  Reason = "step order"
	ByData   Reason = "data" // an expression mentions tasks.<id>
	ByLazy   Reason = "lazy" // a lazy parameter mentions tasks.<id>; the target runs on demand
)

// Need is one edge into a task. Target may be a block or a use: then it stands for each task inside.
type Need struct {
	Target *Task
	Form   Form
	Reason Reason
	Pos    diag.Pos // where it is written
	Text   string   // as written: "load_balancer@all", "tasks.init"
	Via    *Task    // Edges: the container it comes from; else nil. After a removal: the removed task
}

// Edge is a Need between two leaves.
type Edge struct {
	From *Task // must be done first
	To   *Task
	Need Need
}

// Site is where an expression is written: the file whose inputs it sees, and the task from which names of tasks are
// looked up (nil: the top of the file, as for outputs).
type Site struct {
	File *Playbook
	Task *Task
}

// Code is an expression at its site.
type Code struct {
	*expr.Expr
	Site Site
}

// ValueForm is how a Value is written.
type ValueForm uint8

// The forms of a value.
const (
	Literal   ValueForm = iota // Plain
	Single                     // Expr: a scalar that is one ${{ }} and keeps its type
	Text                       // Template: text with ${{ }} in it
	ListForm                   // List
	MapForm                    // Map
	Condition                  // Expr: a bare expression; becomes a task.Condition
	Content                    // Template: text for a file; becomes a task.Content
	FileForm                   // Local, or Template of its path: a file of the controller; becomes a task.Content
	PathForm                   // Template: a path of the controller; becomes an absolute path
)

// Value is a parameter: what is written, what is wanted, and where.
type Value struct {
	Form ValueForm
	Pos  diag.Pos
	Len  int         // characters of it on its first line
	Type *shape.Type // wanted; Any when nothing is known
	Site Site        // of its expressions

	Plain    any // of a Literal: converted to Type
	Expr     *expr.Expr
	Template *expr.Template
	List     []*Value
	Map      []Entry // in the order written
	Local    *LocalFile
	Dir      string // of FileForm and PathForm: where relative paths start

	Lazy   bool // a lazy parameter: not to be resolved before its task is about to change something
	Secret bool // marked secret by the kind, or computed from a secret

	source string // of a template: as written
	open   func(string) (io.ReadCloser, error)
	wrong  bool // said already
}

// Entry is a member of a map.
type Entry struct {
	Key   string
	Pos   diag.Pos // of the key
	Value *Value
}
