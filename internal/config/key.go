package config

// Type is the kind of a key's value, numbered as DescribeConfigs sends it (KIP-569).
type Type int8

// Kafka's value types.
const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3 // 32 bits
	Short    Type = 4
	Long     Type = 5 // 64 bits
	Double   Type = 6
	List     Type = 7 // comma separated
	Class    Type = 8
	Password Type = 9 // never shown
)

// String is Kafka's name of the type, in lower case as its documentation has it.
func (t Type) String() string {
	switch t {
	case Boolean:
		return "boolean"
	case String:
		return "string"
	case Int:
		return "int"
	case Short:
		return "short"
	case Long:
		return "long"
	case Double:
		return "double"
	case List:
		return "list"
	case Class:
		return "class"
	case Password:
		return "password"
	}
	return "unknown"
}

// Scope says what a key belongs to.
type Scope int8

// The scopes that have keys.
const (
	Broker Scope = iota + 1
	Topic
	Group
)

// String is the scope in lower case.
func (s Scope) String() string {
	switch s {
	case Broker:
		return "broker"
	case Topic:
		return "topic"
	case Group:
		return "group"
	}
	return "unknown"
}

// Update says whether a broker key may change while the broker runs, and for whom (KIP-226).
type Update int8

// Kafka's update modes. Topic and group keys are always dynamic and say ClusterWide.
const (
	ReadOnly    Update = iota // file, environment and flags only; a restart is needed
	PerBroker                 // may be set for one broker, not as the default of all
	ClusterWide               // may be set for one broker or for all
)

// String is Kafka's name of the mode.
func (u Update) String() string {
	switch u {
	case PerBroker:
		return "per-broker"
	case ClusterWide:
		return "cluster-wide"
	}
	return "read-only"
}

// Key is one row of the table. Rows are shared and must not be modified.
type Key struct {
	Name    string
	Type    Type
	Default string // as Kafka prints it; meaningless when Null
	Null    bool   // the default is null: "not set", which differs from the empty string
	Doc     string // one or two sentences of our own
	Scope   Scope
	Update  Update
	// Synonyms are the keys that give this one its value where it is not set itself, strongest first. For a broker key they
	// start with the key itself (log.retention.ms, log.retention.minutes, log.retention.hours).
	Synonyms []string

	Sensitive bool   // its value is never shown
	Ignored   bool   // accepted for the sake of existing files, without effect; setting it earns a warning
	Why       string // why it is ignored, as the end of a sentence
	Hidden    bool   // Kafka calls it internal: accepted, but not described
	Valid     string // what Validate lets through, in words; empty when any value of the type will do
	// Validate checks a value beyond its type; nil when any value of the type will do. The error is the reason alone, in Kafka's words.
	Validate func(value string) error
}

// Sources of a value, numbered as DescribeConfigs sends them (KIP-226).
const (
	SourceTopic                Source = 1
	SourceDynamicBroker        Source = 2
	SourceDynamicDefaultBroker Source = 3
	SourceStatic               Source = 4
	SourceDefault              Source = 5
	SourceGroup                Source = 8
)

// Source says where a value came from.
type Source int8

// String is the name Kafka's tools print.
func (s Source) String() string {
	switch s {
	case SourceTopic:
		return "DYNAMIC_TOPIC_CONFIG"
	case SourceDynamicBroker:
		return "DYNAMIC_BROKER_CONFIG"
	case SourceDynamicDefaultBroker:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG"
	case SourceStatic:
		return "STATIC_BROKER_CONFIG"
	case SourceDefault:
		return "DEFAULT_CONFIG"
	case SourceGroup:
		return "DYNAMIC_GROUP_CONFIG"
	}
	return "UNKNOWN"
}

// Entry is one line of DescribeConfigs.
type Entry struct {
	Key      *Key
	Value    string
	Null     bool // the value is null: not set and without default, or sensitive
	Source   Source
	Synonyms []Synonym
}

// ReadOnly reports whether DescribeConfigs calls the entry read-only.
func (e Entry) ReadOnly() bool { return e.Key.Scope == Broker && e.Key.Update == ReadOnly }

// Synonym is one of the values a resolution looked at, strongest first.
type Synonym struct {
	Name   string
	Value  string
	Null   bool // sensitive
	Source Source
}
