package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/connect"
	"github.com/klamm/klamm/internal/config"
)

func (a *app) configGet() *cobra.Command {
	return &cobra.Command{
		Use: "get TARGET [KEY...]", Short: "print values alone; without keys what is set on the target itself", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			r, entries, err := a.entries(c, args[0])
			if err != nil {
				return err
			}
			keys := args[1:]
			values := map[string]*string{}
			t := &table{columns: columns("KEY", "VALUE")}
			for _, e := range entries {
				if len(keys) == 0 && e.own() || slices.Contains(keys, e.Name) {
					values[e.Name] = e.Value
					t.add(e.Name, e.text())
				}
			}
			for _, k := range keys {
				if _, ok := values[k]; !ok {
					return unknownKey(r, k)
				}
			}
			if f, err := a.format(); err == nil && f == "text" && len(keys) == 1 {
				a.print(t.rows[0][1] + "\n")
				return nil
			}
			if len(values) == 0 && len(keys) == 0 {
				return a.show(values, "nothing is set on "+r.target+"; see what counts: klamm config describe "+r.target+"\n", nil, "")
			}
			return a.show(values, "", t, "")
		},
	}
}

func unknownKey(r resource, key string) error {
	f := &fault{what: fmt.Sprintf("%s has no key %s", r.target, key), next: "see them: klamm config describe " + r.target, code: ExitError}
	if near := config.Nearest(r.scope(), key); near != "" {
		f.next = "did you mean " + near + "?"
	}
	return f
}

// entries asks for a target's configuration.
func (a *app) entries(c *cobra.Command, target string) (resource, []entry, error) {
	r, err := parseTarget(target)
	if err != nil {
		return r, nil, err
	}
	var entries []entry
	err = a.withAdmin(func(adm *connect.Cluster) error {
		all, err := describeConfigs(c.Context(), adm, []resource{r})
		entries = all[r.target]
		return err
	})
	slices.SortFunc(entries, func(x, y entry) int { return strings.Compare(x.Name, y.Name) })
	return r, entries, err
}

func (a *app) configSet() *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use: "set TARGET KEY=VALUE...", Short: "set keys", Args: cobra.MinimumNArgs(2), ValidArgsFunction: a.completeTargets,
		Example: "  klamm config set topic/orders retention.ms=86400000 log.durability=page-cache\n  klamm config set broker log.retention.ms=3600000",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				return a.alterConfig(c.Context(), adm, change{target: args[0], set: args[1:], dryRun: dryRun})
			})
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "check only, change nothing")
	return c
}

func (a *app) configUnset() *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use: "unset TARGET KEY...", Short: "set keys back to what they would be", Args: cobra.MinimumNArgs(2), ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withAdmin(func(adm *connect.Cluster) error {
				return a.alterConfig(c.Context(), adm, change{target: args[0], unset: args[1:], dryRun: dryRun})
			})
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "check only, change nothing")
	return c
}

func (a *app) configDescribe() *cobra.Command {
	var set bool
	c := &cobra.Command{
		Use: "describe TARGET [PATTERN]", Short: "all keys with their values and where these come from", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			_, entries, err := a.entries(c, args[0])
			if err != nil {
				return err
			}
			shown := []entry{}
			t := &table{columns: columns("KEY", "VALUE", "FROM", "+TYPE", "+SYNONYMS", "+DOC")}
			for _, e := range entries {
				if set && e.Source == "DEFAULT_CONFIG" || len(args) > 1 && !strings.Contains(e.Name, args[1]) {
					continue
				}
				shown = append(shown, e)
				var synonyms []string
				for _, s := range e.Synonyms {
					value := "(hidden)"
					if s.Value != nil {
						value = *s.Value
					}
					synonyms = append(synonyms, fmt.Sprintf("%s=%s", s.Name, value))
				}
				t.add(e.Name, e.text(), e.from(), e.Type, dash(strings.Join(synonyms, " < ")), e.Doc)
			}
			return a.show(shown, "", t, "")
		},
	}
	c.Flags().BoolVar(&set, "set-only", false, "only keys that something sets, without defaults")
	return c
}

// from says in words where a value comes from.
func (e entry) from() string {
	switch e.Source {
	case "DYNAMIC_TOPIC_CONFIG":
		return "topic"
	case "DYNAMIC_GROUP_CONFIG", "GROUP_CONFIG":
		return "group"
	case "DYNAMIC_BROKER_CONFIG":
		return "broker, dynamic"
	case "DYNAMIC_DEFAULT_BROKER_CONFIG":
		return "all brokers, dynamic"
	case "STATIC_BROKER_CONFIG":
		return "broker, file or flags"
	case "DEFAULT_CONFIG":
		return "default"
	}
	return strings.ToLower(e.Source)
}

type difference struct {
	Name string  `json:"name"`
	A    *string `json:"a"`
	B    *string `json:"b"`
}

func (a *app) configDiff() *cobra.Command {
	return &cobra.Command{
		Use: "diff TARGET [TARGET]", Short: "what two targets, or a target and the defaults, have otherwise", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			_, left, err := a.entries(c, args[0])
			if err != nil {
				return err
			}
			right, name := defaultsOf(left), "default"
			if len(args) == 2 {
				name = args[1]
				var entries []entry
				if _, entries, err = a.entries(c, args[1]); err != nil {
					return err
				}
				right = byName(entries)
			}
			list := []difference{}
			t := &table{columns: columns("KEY", strings.ToUpper(args[0]), strings.ToUpper(name))}
			for _, e := range left {
				other, ok := right[e.Name]
				if !ok || equal(e.Value, other.Value) {
					continue
				}
				list = append(list, difference{e.Name, e.Value, other.Value})
				t.add(e.Name, e.text(), other.text())
			}
			if len(list) == 0 {
				return a.show(list, "no difference\n", nil, "")
			}
			return a.show(list, "", t, "")
		},
	}
}

func byName(entries []entry) map[string]entry {
	out := make(map[string]entry, len(entries))
	for _, e := range entries {
		out[e.Name] = e
	}
	return out
}

// defaultsOf is what each key would be if nobody had set anything: the weakest synonym, or the value itself where it is the default.
func defaultsOf(entries []entry) map[string]entry {
	out := make(map[string]entry, len(entries))
	for _, e := range entries {
		d := entry{Name: e.Name}
		switch n := len(e.Synonyms); {
		case e.Source == "DEFAULT_CONFIG":
			d.Value = e.Value
		case n > 0 && e.Synonyms[n-1].Source == "DEFAULT_CONFIG" && e.Synonyms[n-1].Name == e.Synonyms[0].Name:
			d.Value = e.Synonyms[n-1].Value
		default:
			d.Value = tableDefault(e.Name)
		}
		out[e.Name] = d
	}
	return out
}

func tableDefault(name string) *string {
	for _, scope := range []config.Scope{config.Topic, config.Broker, config.Group} {
		if k, ok := config.Lookup(scope, name); ok && !k.Null {
			return &k.Default
		}
	}
	return nil
}

func equal(a, b *string) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

type lintResult struct {
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
}

func (a *app) configLint() *cobra.Command {
	return &cobra.Command{
		Use: "lint FILE...", Short: "check server.properties or YAML files without starting anything", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			results := []lintResult{}
			bad := 0
			var text strings.Builder
			for _, file := range files {
				_, warnings, err := config.Load(config.LoadOptions{File: file})
				r := lintResult{File: file, OK: err == nil, Warnings: append([]string{}, warnings...), Errors: []string{}}
				for _, w := range warnings {
					fmt.Fprintf(&text, "warning: %s\n", w)
				}
				if err != nil {
					bad++
					r.Errors = strings.Split(err.Error(), "\n")
					for _, e := range r.Errors {
						fmt.Fprintf(&text, "error: %s\n", e)
					}
				}
				if r.OK {
					fmt.Fprintf(&text, "%s: ok\n", file)
				}
				results = append(results, r)
			}
			if err := a.show(results, text.String(), nil, ""); err != nil {
				return err
			}
			switch {
			case bad == 0:
				return nil
			case bad == len(files):
				return silent(ExitError)
			}
			return silent(ExitPartial)
		},
	}
}
