package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/kflow/kflow/engine/task"
	"github.com/kflow/kflow/tasks/internal/conf"
	"github.com/kflow/kflow/tasks/internal/notyet"
	"github.com/kflow/kflow/tasks/internal/program"
)

// wanted is the content a file should have.
type wanted struct {
	text   string
	secret bool
	attr   task.Attr // for a new file, from copy_of
}

// wanted makes the content from the source and the edits; before is what the file holds now.
func (p *File) wanted(ctx context.Context, h task.Host, before string) (*wanted, error) {
	w := &wanted{text: before}
	var err error
	switch {
	case p.CopyOf != "":
		err = p.copyOf(ctx, h, w)
	case p.From != nil:
		err = p.from(ctx, h, w)
	default:
		for _, c := range []*task.Content{p.Content, p.Template, p.Source} {
			if c != nil {
				w.secret = c.Secret
				w.text, err = read(ctx, h, *c)
			}
		}
	}
	if err == nil {
		err = p.edit(ctx, h, w)
	}
	return w, err
}

func read(ctx context.Context, h task.Host, c task.Content) (string, error) {
	if c.Inline {
		return c.Text, nil
	}
	r, err := h.Open(ctx, c)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var b strings.Builder
	b.Grow(int(max(0, c.Size)))
	_, err = io.Copy(&b, r)
	return b.String(), err
}

// copyOf reads the other file. What only its owner may read is a secret, and stays unreadable to others.
func (p *File) copyOf(ctx context.Context, h task.Host, w *wanted) error {
	fi, err := h.Stat(ctx, p.CopyOf)
	if errors.Is(err, fs.ErrNotExist) {
		return notyet.Failf("path:"+p.CopyOf, "there is no file %s to copy", p.CopyOf).
			WithHint("let this task need the one that makes it")
	}
	if err != nil {
		return err
	}
	w.attr = task.Attr{Mode: fi.Mode &^ fs.ModeType, Owner: fi.Owner, Group: fi.Group}
	w.secret = fi.Mode&0o077 == 0
	b, err := h.ReadFile(ctx, p.CopyOf)
	w.text = string(b)
	return err
}

func (p *File) from(ctx context.Context, h task.Host, w *wanted) error {
	c := task.Query(p.From.Command...)
	c.MaxBytes = 16 << 20
	o, err := task.Must(ctx, h, c)
	if program.Missing(err) {
		return notyet.Failf("program:"+p.From.Command[0], "there is no program %s", p.From.Command[0]).
			WithHint("let this task need the one that installs it")
	}
	w.text = o.Stdout
	var f *task.Failure
	if errors.As(err, &f) && f.Hint == "" {
		f = f.WithHint("this program prints what %s shall hold; run it on the host to see why it fails", p.Path)
	}
	return err
}

// edit applies the edits, in the order of the documentation.
func (p *File) edit(ctx context.Context, h task.Host, w *wanted) error {
	var err error
	for _, r := range p.Replace {
		if w.text, err = r.apply(w.text); err != nil {
			return err
		}
	}
	for _, l := range p.Lines {
		w.text = l.apply(w.text)
	}
	if len(p.Set) > 0 {
		if w.text, err = conf.Set(p.format(), w.text, p.Set); err != nil {
			return task.Failf("cannot set values in %s: %w", p.Path, err).WithHint("the file on the host is unchanged; look at it, give all of it (content, source), or name its format")
		}
	}
	if p.Block != nil {
		text, err := read(ctx, h, p.Block.Text)
		if err != nil {
			return err
		}
		w.secret = w.secret || p.Block.Text.Secret
		w.text, err = p.Block.apply(w.text, text)
		return err
	}
	return nil
}

func (r Replace) apply(text string) (string, error) {
	if !strings.Contains(text, literal(r.Match)) {
		return text, nil
	}
	re, err := regexp.Compile("(?m)" + r.Match)
	if err != nil || !re.MatchString(text) {
		return text, err
	}
	once := re.ReplaceAllString(text, r.With)
	if twice := re.ReplaceAllString(once, r.With); twice != once {
		return "", task.Failf("replace: %q also matches what it writes, so each run would change the file again", r.Match).
			WithHint("make the expression match only the old text, for example with ^ and $")
	}
	return once, nil
}

// literal is a text that stands in all that an expression matches; "" = none is known. To look for it is much less work in a
// long file than to look for the expression, which most files do not match.
func literal(expr string) string {
	re, err := regexp.Compile(strings.TrimPrefix(expr, "^")) // without the anchor it matches the same, and more
	if err != nil {
		return ""
	}
	text, _ := re.LiteralPrefix()
	return text
}

func (l Line) apply(text string) string {
	lines := splitLines(text)
	match := func(expr string) func(string) bool {
		re := regexp.MustCompile(expr) // compiled before, in Check
		return func(line string) bool { return re.MatchString(line) }
	}
	if l.Absent {
		return joinLines(slices.DeleteFunc(lines, func(line string) bool {
			return line == l.Line && l.Line != "" || l.Match != "" && match(l.Match)(line)
		}))
	}
	last := -1
	if l.Match != "" {
		last = lastIndex(lines, match(l.Match))
	}
	// Of several lines that match the last one counts for most programs: that the line is there too does not help then.
	overruled := last >= 0 && lines[last] != l.Line && match(l.Match)(l.Line)
	if slices.Contains(lines, l.Line) && !overruled {
		return text
	}
	if last >= 0 {
		lines[last] = l.Line
		return joinLines(lines)
	}
	at := len(lines)
	if l.After != "" {
		if i := lastIndex(lines, match(l.After)); i >= 0 {
			at = i + 1
		}
	}
	return joinLines(slices.Insert(lines, at, l.Line))
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func lastIndex(lines []string, match func(string) bool) int {
	for i, line := range slices.Backward(lines) {
		if match(line) {
			return i
		}
	}
	return -1
}

// apply puts the block into a text: where it is, else at the end. An empty block is taken out.
func (b *Block) apply(text, block string) (string, error) {
	begin, end := b.Comment+" BEGIN kflow: "+b.Marker, b.Comment+" END kflow: "+b.Marker
	body := ended(text)
	from, to := lineIn(body, begin), lineIn(body, end)
	if (from < 0) != (to < 0) || to < from {
		return "", task.Failf("the file has only one of the marker lines of block %q", b.Marker).
			WithHint("put %q and %q around the block again, or remove both", begin, end)
	}
	fresh := ""
	if strings.TrimSpace(block) != "" {
		fresh = begin + "\n" + ended(block) + end + "\n"
	}
	switch {
	case from >= 0:
		return body[:from] + fresh + body[to+len(end)+1:], nil
	case fresh == "":
		return text, nil
	}
	return body + fresh, nil
}

// ended is a text whose last line ends.
func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

// lineIn is where a line begins in a text whose last line ends; -1 = it is not there.
func lineIn(text, line string) int {
	for at := 0; ; {
		i := strings.Index(text[at:], line)
		if i < 0 {
			return -1
		}
		at += i
		if (at == 0 || text[at-1] == '\n') && strings.HasPrefix(text[at+len(line):], "\n") {
			return at
		}
		at++
	}
}

// streamFrom is the size from which a file is compared by its hash and not read into memory.
const streamFrom = 1 << 20

// asItIs is the content that is sent without being looked at: large, from the controller, not edited.
func (p *File) asItIs() *task.Content {
	if p.edits() || len(p.Validate) > 0 {
		return nil
	}
	for _, c := range []*task.Content{p.Template, p.Source} {
		if c != nil && !c.Inline && c.Size >= streamFrom {
			return c
		}
	}
	return nil
}
