package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew from the table")

// The reference is the table, printed. Rewrite it with: go test ./internal/config -run TestReference -update
func TestReferenceIsTheTable(t *testing.T) {
	const path = "../../docs/configuration.md"
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table says; run: go test ./internal/config -run TestReference -update", path)
	}
}

const preamble = `# Configuration

This page is printed from the one table of keys in ` + "`internal/config`" + `, which the node itself reads. Rewrite it with
` + "`go test ./internal/config -run TestReference -update`" + `.

No file is needed: ` + "`klamm server`" + ` alone is a working node. Where you set something, the keys are Apache Kafka's, and so is the file:

` + "```sh" + `
klamm server --config server.properties          # Java properties, or YAML by the name's end (.yaml, .yml)
KAFKA_LOG_RETENTION_MS=3600000 klamm server      # as in Apache Kafka's images: _ is a dot, __ an underscore, ___ a dash
klamm server -X log.retention.ms=3600000
klamm config set broker/1 log.retention.ms=3600000   # while it runs, for the keys that are dynamic
klamm config lint server.properties              # what would be said about a file
` + "```" + `

The stronger source wins: default < file < ` + "`KAFKA_*`" + ` < ` + "`KLAMM_*`" + ` < ` + "`-X`" + ` and flags < values set while the node runs (all brokers, then one broker, then
the topic or group itself).

A key that nobody knows stops the start, with its line and the nearest key. A key of Kafka's that means nothing here is accepted with
one warning. A key that asks for protection this version cannot give (TLS, SASL, an authorizer, a policy) **stops the start**: going on
without it would open the broker to everybody who can reach it.

*Mode* says when a broker key may change: **read-only** needs a restart, **per-broker** may change for one broker while it runs,
**cluster-wide** for one or all. Topic and group keys may always change.
`

func reference() string {
	var b strings.Builder
	b.WriteString(preamble)
	section := func(title, intro string, scope Scope, pick func(*Key) bool, print func(*strings.Builder, *Key)) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, intro)
		for _, k := range Keys(scope) {
			if pick(k) {
				print(&b, k)
			}
		}
	}
	own := func(k *Key) bool { return strings.HasPrefix(k.Name, "klamm.") || k.Name == "log.durability" }
	refused := func(k *Key) bool { return k.Valid == "nothing else in this version" }
	section("Klamm's own keys", "| Key | Default | Type | Mode | |\n|---|---|---|---|---|", Broker, own, brokerLine)
	section("Broker", "| Key | Default | Type | Mode | |\n|---|---|---|---|---|", Broker,
		func(k *Key) bool { return !k.Ignored && !k.Hidden && !own(k) && !refused(k) }, brokerLine)
	section("Topics", "Where a topic does not set a key, the broker key in the last column does.\n\n| Key | Default | Type | | Broker key |\n|---|---|---|---|---|", Topic,
		func(k *Key) bool { return !k.Hidden }, topicLine)
	section("Groups", "Of the newer kinds of group (KIP-848, KIP-932, KIP-1071), which this version does not serve yet: the keys are kept and shown.\n\n"+
		"| Key | Default | Type | | Broker key |\n|---|---|---|---|---|", Group, func(k *Key) bool { return !k.Hidden }, topicLine)
	section("Refused", "Setting these stops the start.\n\n| Key | |\n|---|---|", Broker, refused, func(b *strings.Builder, k *Key) {
		fmt.Fprintf(b, "| `%s` | %s |\n", k.Name, escape(k.Doc))
	})
	section("Without effect", "Accepted, so that existing files load; each earns one warning.\n\n| Key | Why |\n|---|---|", Broker,
		func(k *Key) bool { return k.Ignored }, func(b *strings.Builder, k *Key) {
			fmt.Fprintf(b, "| `%s` | %s |\n", k.Name, escape(k.Why))
		})
	return b.String()
}

func brokerLine(b *strings.Builder, k *Key) {
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s%s |\n", k.Name, shownDefault(k), k.Type, k.Update, escape(k.Doc), bounds(k))
}

func topicLine(b *strings.Builder, k *Key) {
	var from []string
	for _, s := range k.Synonyms {
		from = append(from, "`"+s+"`")
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s%s | %s |\n", k.Name, shownDefault(k), k.Type, escape(k.Doc), bounds(k), strings.Join(from, ", "))
}

func shownDefault(k *Key) string {
	switch {
	case k.Null:
		return "*not set*"
	case k.Default == "":
		return "*empty*"
	}
	return "`" + escape(k.Default) + "`"
}

func bounds(k *Key) string {
	if k.Valid == "" {
		return ""
	}
	return " `" + escape(k.Valid) + "`"
}

func escape(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
