package graph

import (
	"slices"
	"strings"
)

// style is the sheet of a picture. Colours are given twice: for light and, where the reader wants it, for dark.
func (p *picture) style() {
	p.printf("<style>")
	p.printf("text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}")
	p.printf(".id{font-size:13px;font-weight:600;text-anchor:middle}.what{font-size:11px;text-anchor:middle;opacity:.8}")
	p.printf(".name{font-size:12px;font-weight:600}.key{font-size:11px}")
	p.printf(".task{stroke-width:1.4}.other{stroke-dasharray:5 3}.frame{stroke-width:1.2}")
	p.printf(".arrow{fill:none;stroke-width:1.3}.all{stroke-width:2.6}.data{stroke-dasharray:5 4}.wide{fill:none;stroke:#000;stroke-opacity:0;stroke-width:10}")
	p.palette("", false)
	p.printf("@media (prefers-color-scheme:dark){")
	p.palette("  ", true)
	p.printf("}</style>")
}

func (p *picture) palette(indent string, dark bool) {
	page, ink, soft, line, frames := "#ffffff", "#1c2128", "#3d4650", "#6b7580", [2]string{"#f4f6f8", "#ffffff"}
	fill, stroke := "%d,75%%,92%%", "%d,50%%,45%%"
	if dark {
		page, ink, soft, line, frames = "#0d1117", "#e8edf2", "#c2cad3", "#8b96a3", [2]string{"#161b22", "#0d1117"}
		fill, stroke = "%d,38%%,21%%", "%d,50%%,58%%"
	}
	p.printf("%s.page{fill:%s}text{fill:%s}.name,.key{fill:%s}.arrow{stroke:%s}.tip{fill:%s}", indent, page, ink, soft, line, line)
	p.printf("%s.frame{stroke:%s}.d1{fill:%s}.d0{fill:%s}.task{fill:%s;stroke:%s}", indent, line+"88", frames[0], frames[1], page, line)
	for i, hue := range hues() {
		p.printf(indent+".k%d{fill:hsl("+fill+");stroke:hsl("+stroke+")}", i, hue, hue)
	}
	for _, s := range statuses() {
		p.printf(indent+".%s{fill:hsl("+fill+");stroke:hsl("+stroke+")}", s.class, s.hue, s.hue)
	}
	if len(p.Path) > 0 {
		lightness := 44
		if dark {
			lightness = 58
		}
		p.printf("%s.critical{stroke:hsl(20,90%%,%d%%);stroke-width:3}.tip.critical{fill:hsl(20,90%%,%d%%);stroke:none}", indent, lightness, lightness)
	}
	if dark {
		p.printf("%s.s-skip{fill:#21262d;stroke:#6e7681}", indent)
	} else {
		p.printf("%s.s-skip{fill:#eceff2;stroke:#9aa4ae}", indent)
	}
}

// statusStyle is the colour of results.
type statusStyle struct {
	class string
	hue   int
	of    []string
}

func statuses() []statusStyle {
	return []statusStyle{
		{"s-ok", 135, []string{"ok", "reused", "no change"}},
		{"s-later", 210, []string{"known after"}},
		{"s-changed", 45, []string{"changed", "run", "will change", "action"}},
		{"s-bad", 4, []string{"failed", "unreachable", "timed-out", "unknown", "would fail"}},
	}
}

// statusClass is the class of a result; more words may follow it ("run, skip on 2").
func statusClass(status string) string {
	if status == "" {
		return ""
	}
	for _, s := range statuses() {
		for _, word := range s.of {
			if status == word || strings.HasPrefix(status, word+",") {
				return s.class
			}
		}
	}
	if strings.HasPrefix(status, "unknown until") {
		return "s-later"
	}
	for _, word := range []string{"skip", "blocked", "cancelled", "no host"} {
		if strings.HasPrefix(status, word) {
			return "s-skip"
		}
	}
	return ""
}

// sample is an entry of the legend.
type sample struct {
	x, w float64
	text string
	draw func(x, y float64)
}

// legendRows distributes the kinds and the sorts of arrows over rows.
func (p *picture) legendRows(width float64) [][]sample {
	var all []sample
	add := func(text, class string, shape func(w, h float64) string) {
		all = append(all, sample{text: text, draw: func(x, y float64) {
			p.printf(`<path class="task %s" d="%s" transform="translate(%s %s)"/>`, class, shape(30, 18), num(x), num(y))
		}})
	}
	results := p.results()
	for _, kind := range p.kinds {
		class := p.kindClass(kind)
		if len(results) > 0 {
			class = "" // colours tell results
		}
		add(kind, class, p.shape(kind))
	}
	for _, r := range results {
		add(r, statusClass(r), rounded)
	}
	for _, a := range []struct{ class, text string }{{"arrow", "each host waits for itself"}, {"arrow all", "waits for all hosts"}, {"arrow data", "reads outputs"}} {
		all = append(all, sample{text: a.text, draw: func(x, y float64) {
			p.printf(`<path class="%s" d="M%s,%s h28" marker-end="url(#arrow)"/>`, a.class, num(x), num(y+9))
		}})
	}
	if len(p.Path) > 0 {
		all = append(all, sample{text: p.pathTitle(), draw: func(x, y float64) {
			p.printf(`<path class="arrow critical" d="M%s,%s h28" marker-end="url(#critical)"/>`, num(x), num(y+9))
		}})
	}
	var rows [][]sample
	x := width
	for _, s := range all {
		s.w = 30 + 6 + textWidth(s.text, 11, false) + 18
		if x+s.w > width-margin {
			rows, x = append(rows, nil), margin
		}
		s.x = x
		rows[len(rows)-1] = append(rows[len(rows)-1], s)
		x += s.w
	}
	return rows
}

// results are the statuses of the picture that have a colour, each once, without what follows a comma.
func (p *picture) results() []string {
	var out []string
	for _, n := range p.Nodes {
		word, _, _ := strings.Cut(line(n.Status), ",")
		if strings.HasPrefix(word, "unknown until") {
			word = "unknown until ..."
		}
		if statusClass(word) != "" && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return out
}

func (p *picture) legend(rows [][]sample, y float64) {
	for _, row := range rows {
		for _, s := range row {
			s.draw(s.x, y)
			p.printf(`<text class="key" x="%s" y="%s">%s</text>`, num(s.x+36), num(y+13), escape(line(s.text)))
		}
		y += 28
	}
}
