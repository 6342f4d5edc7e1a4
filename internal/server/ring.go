package server

// ring is a queue of replies. It grows and keeps its size: the limit on pending replies bounds it.
type ring struct {
	b    []*Reply
	head int
	n    int
}

func (q *ring) at(i int) *Reply { return q.b[(q.head+i)&(len(q.b)-1)] }

func (q *ring) push(r *Reply) {
	if q.n == len(q.b) {
		b := make([]*Reply, max(8, 2*len(q.b)))
		for i := range q.n {
			b[i] = q.at(i)
		}
		q.b, q.head = b, 0
	}
	q.b[(q.head+q.n)&(len(q.b)-1)] = r
	q.n++
}

func (q *ring) pop() *Reply {
	r := q.b[q.head]
	q.b[q.head] = nil
	q.head = (q.head + 1) & (len(q.b) - 1)
	q.n--
	return r
}
