package config

import "strings"

// environment finds the settings among "NAME=value" strings, named as the images of Apache Kafka name them: KAFKA_LOG_RETENTION_MS is
// log.retention.ms, a double underscore is an underscore, three are a dash. KLAMM_ works the same and wins over KAFKA_; it also
// reaches Klamm's own keys without saying klamm twice (KLAMM_HTTP_LISTEN is klamm.http.listen).
func environment(environ []string) (kafka, klamm []namedSetting) {
	for _, e := range environ {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			continue
		}
		if rest, ok := strings.CutPrefix(name, "KAFKA_"); ok && rest != "" && !notAKey(rest, value) {
			kafka = append(kafka, namedSetting{variable: name, setting: setting{name: keyOfVariable(rest), value: value}})
		}
		if rest, ok := strings.CutPrefix(name, "KLAMM_"); ok && rest != "" && !isCommandVariable(rest) && !isServiceLink(rest, value) {
			key := keyOfVariable(rest)
			if _, own := Lookup(Broker, "klamm."+key); own {
				key = "klamm." + key
			}
			klamm = append(klamm, namedSetting{variable: name, setting: setting{name: key, value: value}})
		}
	}
	return kafka, klamm
}

type namedSetting struct {
	setting
	variable string
}

func keyOfVariable(rest string) string {
	return strings.NewReplacer("___", "-", "__", "_", "_", ".").Replace(strings.ToLower(rest))
}

// notAKey names the variables that Kafka's images, its start scripts and Kubernetes set and that are no keys.
func notAKey(rest, value string) bool {
	switch rest {
	case "HOME", "VERSION", "SCALA_VERSION", "OPTS", "HEAP_OPTS", "DEBUG", "DEBUG_FLAG", "CLASSPATH", "MODE", "USER",
		"JMX_OPTS", "JMX_PORT", "JMX_HOSTNAME", "JVM_PERFORMANCE_OPTS", "GC_LOG_OPTS", "CLUSTER_ID", "KRAFT_CLUSTER_ID",
		"URL", "SERVER", "BOOTSTRAP_SERVER", "BOOTSTRAP_SERVERS", "BROKER", "BROKERS":
		return true
	}
	return strings.HasPrefix(rest, "LOG4J") || strings.HasPrefix(rest, "TOOLS_LOG4J") || strings.HasPrefix(rest, "CFG_") ||
		strings.HasPrefix(rest, "DEBUG_") || isServiceLink(rest, value)
}

// isServiceLink recognises what Kubernetes and Docker put into the environment of every container beside a service called kafka:
// KAFKA_SERVICE_HOST, KAFKA_PORT=tcp://10.0.0.7:9092, KAFKA_PORT_9092_TCP_ADDR, KAFKA_BROKER_SERVICE_PORT_TCP.
func isServiceLink(rest, value string) bool {
	return strings.HasSuffix(rest, "SERVICE_HOST") || strings.Contains(rest, "SERVICE_PORT") || strings.Contains(rest, "_TCP") ||
		strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://")
}

// isCommandVariable names what the command line reads for itself: see the cli room.
func isCommandVariable(rest string) bool {
	switch rest {
	case "BOOTSTRAP_SERVER", "BOOTSTRAP_SERVERS", "PROFILE", "PROFILES", "OUTPUT", "HTTP", "CLIENT_CONFIG", "CONFIG", "DATA", "LISTEN",
		"YES", "VERSION", "TIMEOUT":
		return true
	}
	return strings.HasPrefix(rest, "TEST_") || strings.HasPrefix(rest, "X_")
}
