package host

import "iter"

// places are what a tree has of its own, by path: pages of a few paths each. Paths got their numbers when they were needed
// first, so that those of one page mostly belong together: a tree has all of them, or none.
type places struct {
	pages []uint16 // where the page begins, in pages; 0 = there is none
	list  []place
}

const (
	pageBits = 4
	pageSize = 1 << pageBits
)

func (p *places) at(id pathID) place {
	page := int(id >> pageBits)
	if page >= len(p.pages) || p.pages[page] == 0 {
		return place{}
	}
	return p.list[int(p.pages[page]-1)<<pageBits+int(id)%pageSize]
}

func (p *places) set(id pathID, to place) {
	page := int(id >> pageBits)
	for page >= len(p.pages) {
		p.pages = append(p.pages, 0)
	}
	if p.pages[page] == 0 {
		p.list = append(p.list, make([]place, pageSize)...)
		p.pages[page] = uint16(len(p.list) >> pageBits)
	}
	p.list[int(p.pages[page]-1)<<pageBits+int(id)%pageSize] = to
}

// all are the paths at which there is something of the tree's own, or nothing though the base has something.
func (p *places) all() iter.Seq[pathID] {
	return func(yield func(pathID) bool) {
		for page, at := range p.pages {
			for i := range pathID(pageSize) {
				if at != 0 && p.list[int(at-1)<<pageBits+int(i)].node != 0 && !yield(pathID(page)<<pageBits+i) {
					return
				}
			}
		}
	}
}
