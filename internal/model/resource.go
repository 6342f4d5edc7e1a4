package model

// ResourceType is Kafka's number for what a configuration belongs to (ConfigResource.Type).
type ResourceType int8

// The kinds of resources that have a configuration.
const (
	ResourceTopic         ResourceType = 2
	ResourceBroker        ResourceType = 4 // the empty name is the default of all brokers
	ResourceBrokerLogger  ResourceType = 8
	ResourceClientMetrics ResourceType = 16
	ResourceGroup         ResourceType = 32
)
