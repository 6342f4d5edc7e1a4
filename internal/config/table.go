package config

import (
	"slices"
	"strings"
	"sync"
)

// index is the table arranged for finding.
type index struct {
	byName [Group + 1]map[string]*Key
	sorted [Group + 1][]*Key
}

// table is read-only and built once, at first use: a command that needs no key does not pay for 450 of them.
var table = sync.OnceValue(func() *index {
	var ix index
	for scope, rows := range map[Scope][][]Key{
		Broker: {
			nodeKeys(), listenerKeys(), logKeys(), cleanerKeys(), topicDefaultKeys(), replicationKeys(), quorumKeys(),
			groupCoordinatorKeys(), shareCoordinatorKeys(), transactionKeys(), remoteKeys(), metricsKeys(), sslKeys(), saslKeys(),
			klammKeys(), retiredKeys(),
		},
		Topic: {topicKeys()},
		Group: {groupKeys()},
	} {
		byName := make(map[string]*Key, 512)
		var sorted []*Key
		for _, part := range rows {
			for i := range part {
				k := &part[i]
				k.Scope = scope
				if scope != Broker {
					k.Update = ClusterWide
				} else if k.Update == 0 {
					k.Update = ReadOnly
				}
				if k.Synonyms == nil && scope == Broker {
					k.Synonyms = []string{k.Name}
				}
				byName[k.Name] = k
				sorted = append(sorted, k)
			}
		}
		slices.SortFunc(sorted, func(a, b *Key) int { return strings.Compare(a.Name, b.Name) })
		ix.byName[scope], ix.sorted[scope] = byName, sorted
	}
	return &ix
})

// Lookup finds a key by its exact name.
func Lookup(scope Scope, name string) (*Key, bool) {
	k, ok := table().byName[scope][name]
	return k, ok
}

// Keys are all keys of a scope by name. The slice is the caller's, the keys are not.
func Keys(scope Scope) []*Key { return slices.Clone(table().sorted[scope]) }

// Nearest is the name of the key most like name, or empty when none is so near that it could be meant.
func Nearest(scope Scope, name string) string {
	best, bestDistance := "", len(name)/3+1
	for _, k := range table().sorted[scope] {
		if k.Hidden {
			continue
		}
		if d := editDistance(name, k.Name, bestDistance); d < bestDistance {
			best, bestDistance = k.Name, d
		}
	}
	if best == "" {
		best = sameWords(scope, name)
	}
	if best == "" {
		best = aroundName(scope, name)
	}
	return best
}

// aroundName finds the one key that has name as its beginning or end: auto.create.topics, retention.hours.
func aroundName(scope Scope, name string) string {
	found := ""
	for _, k := range table().sorted[scope] {
		if k.Hidden || !strings.HasPrefix(k.Name, name+".") && !strings.HasSuffix(k.Name, "."+name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = k.Name
	}
	return found
}

// sameWords finds a key made of the same words in another order or with another separator: retention_ms, ms.retention.
func sameWords(scope Scope, name string) string {
	want := words(name)
	for _, k := range table().sorted[scope] {
		if slices.Equal(words(k.Name), want) {
			return k.Name
		}
	}
	return ""
}

func words(name string) []string {
	w := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '.' || r == '_' || r == '-' })
	slices.Sort(w)
	return w
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b; it gives up and answers
// limit as soon as it is clear that there are at least so many.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
