package archtest

// rooms lists, for every package of the module by its path below the module's root, the packages it may import. A trailing "/..." stands
// for a folder and all below it. The standard library and third-party libraries are not listed: depguard in .golangci.yml bounds those.
func rooms() map[string][]string {
	return map[string][]string{
		// Floor 0: words.
		"internal/model":     {},
		"internal/clock":     {},
		"internal/vfs":       {},
		"internal/event":     {"internal/model"},
		"internal/invariant": {},
		"internal/bug":       {},

		// Floor 1: formats.
		"internal/wire":   {"internal/model"},
		"internal/batch":  {"internal/model", "internal/invariant"},
		"internal/config": {"internal/model"},

		// Floor 2: engines.
		"internal/commitlog/remember": {"internal/model"},
		"internal/commitlog":          {"internal/commitlog/remember", "internal/model", "internal/bug", "internal/batch", "internal/vfs", "internal/clock", "internal/invariant"},
		"internal/metadata":           {"internal/model", "internal/bug", "internal/wire", "internal/invariant"},
		"internal/controller":         {"internal/model", "internal/bug", "internal/event", "internal/metadata", "internal/config", "internal/clock", "internal/invariant"},
		"internal/replication":        {"internal/model", "internal/bug", "internal/batch", "internal/commitlog", "internal/metadata", "internal/clock", "internal/invariant"},
		"internal/coordinator":        {"internal/model", "internal/bug", "internal/wire", "internal/batch", "internal/metadata", "internal/clock", "internal/invariant"},
		"internal/coordinator/group":  {"internal/coordinator", "internal/model", "internal/bug", "internal/wire", "internal/batch", "internal/metadata", "internal/clock", "internal/invariant"},

		// Floor 3: edges.
		"internal/client":  {"internal/model", "internal/wire", "internal/clock"},
		"internal/fetcher": {"internal/model", "internal/bug", "internal/wire", "internal/batch", "internal/commitlog", "internal/replication", "internal/metadata", "internal/client", "internal/clock"},
		"internal/quorum":  {"internal/model", "internal/bug", "internal/wire", "internal/batch", "internal/commitlog", "internal/metadata", "internal/clock", "internal/vfs", "internal/invariant"},
		"internal/server":  {"internal/model", "internal/wire", "internal/clock"},
		"internal/api": {"internal/model", "internal/wire", "internal/batch", "internal/config", "internal/metadata", "internal/controller", "internal/quorum",
			"internal/replication", "internal/coordinator/...", "internal/server", "internal/clock"},
		"internal/peer":  {"internal/model", "internal/event", "internal/wire", "internal/metadata", "internal/controller", "internal/server"},
		"internal/admin": {"internal/model", "internal/event", "internal/metadata"},

		// Floor 4: the house.
		"internal/cli/...": {"internal/cli/...", "internal/model", "internal/wire", "internal/config", "internal/batch", "internal/commitlog", "internal/vfs"},
		"internal/node":    {"internal/..."},
		"cmd/klamm":        {"internal/cli", "internal/node", "internal/config"},
		"klammtest":        {"internal/node", "internal/config"},

		// Outside the house: tools and tests know the house only as its users do.
		"internal/archtest": {},
		"internal/tidy":     {},
		"gen":               {},
		"bench":             {"test/kafkaref"},
		"sim":               {"sim/..."},
		"sim/bugs":          {"internal/bug"},
		"sim/cluster":       {"internal/...", "sim/..."},
		"sim/history":       {},
		"sim/workload":      {"sim/history"},
		"sim/replicas":      {"internal/model", "internal/batch", "internal/vfs", "internal/cli/inspect"},
		"test/...":          {"test/..."},
	}
}
