package config

// null stands for a default of null in the rows below.
const null = "\x00"

// Reasons why a key is ignored, each the end of "KEY has no effect: ".
const (
	noThreads     = "there are no thread pools to size"
	noPurgatory   = "waiting requests are dropped at once, nothing is purged in batches"
	noJVM         = "it configures Kafka's Java machinery"
	noPlugins     = "Java classes cannot be loaded"
	noTLS         = "TLS is not possible in this version"
	noSASL        = "SASL is not possible in this version"
	noQuotas      = "quotas are not possible in this version"
	noPeers       = "this version is a cluster of one node"
	noTxn         = "transactions are not possible in this version"
	noNewGroups   = "only classic consumer groups are possible in this version"
	noTiering     = "tiered storage is not possible in this version"
	noTelemetry   = "client telemetry is not collected in this version"
	ownScheduling = "the node schedules this work by itself"
	kernelBuffers = "the kernel sizes these buffers by itself"
	retired       = "Kafka 4 has no such key any more"
)

func row(t Type, name, def, doc string) Key {
	k := Key{Name: name, Type: t, Default: def, Doc: doc}
	if def == null {
		k.Default, k.Null = "", true
	}
	return k
}

func boolean(name, def, doc string) Key { return row(Boolean, name, def, doc) }
func text(name, def, doc string) Key    { return row(String, name, def, doc) }
func short(name, def, doc string) Key   { return row(Short, name, def, doc) }
func integer(name, def, doc string) Key { return row(Int, name, def, doc) }
func long(name, def, doc string) Key    { return row(Long, name, def, doc) }
func double(name, def, doc string) Key  { return row(Double, name, def, doc) }
func list(name, def, doc string) Key    { return row(List, name, def, doc) }
func class(name, def, doc string) Key   { return row(Class, name, def, doc) }

func password(name, doc string) Key {
	k := row(Password, name, null, doc)
	k.Sensitive = true
	return k
}

// dynamic: may change while brokers run, for one or for all.
func (k Key) dynamic() Key {
	k.Update = ClusterWide
	return k
}

// perBroker: may change while brokers run, for one broker only.
func (k Key) perBroker() Key {
	k.Update = PerBroker
	return k
}

// from names the keys that stand behind this one, strongest first.
func (k Key) from(names ...string) Key {
	k.Synonyms = names
	return k
}

// ignored: accepted without effect.
func (k Key) ignored(why string) Key {
	k.Ignored, k.Why = true, why
	return k
}

// hidden: internal in Kafka's sense.
func (k Key) hidden() Key {
	k.Hidden = true
	return k
}

// onlyDefault refuses every value but the given ones: anything else asks for protection this version cannot give.
func (k Key) onlyDefault(reason string, harmless ...string) Key {
	k.Valid = "nothing else in this version"
	k.Validate = func(v string) error {
		for _, h := range harmless {
			if v == h {
				return nil
			}
		}
		return &RefusedError{Name: k.Name, Reason: reason}
	}
	return k
}
