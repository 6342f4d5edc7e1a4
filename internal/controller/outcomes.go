package controller

import (
	"fmt"

	"github.com/klamm/klamm/internal/model"
)

// failure is an Outcome with a message for people.
func failure(code model.ErrorCode, format string, args ...any) Outcome {
	if len(args) == 0 {
		return Outcome{code, format}
	}
	return Outcome{code, fmt.Sprintf(format, args...)}
}

// Kafka's own texts for codes that are sent without a message of their own.
const (
	textUnknownTopic   = "This server does not host this topic-partition."
	textUnknownTopicID = "This server does not host this topic ID."
	textNotNeeded      = "Leader election not needed for topic partition."
	textNoPreferred    = "The preferred leader was not available."
	textNoEligible     = "Eligible topic partition leaders are not available."
)

func unknownTopic() Outcome { return Outcome{model.UnknownTopicOrPartition, textUnknownTopic} }
