package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// exception is the Java class and message that Kafka's tools show for an error of the protocol.
func exception(err error) (class, message string) {
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		var dial *net.OpError
		switch {
		case errors.As(err, &dial), errors.Is(err, context.DeadlineExceeded):
			return "org.apache.kafka.common.errors.TimeoutException", "Timed out waiting for a node assignment. Call: " + err.Error()
		}
		return "org.apache.kafka.common.KafkaException", err.Error()
	}
	name, ok := exceptions()[ke.Code]
	if !ok {
		name = "KafkaException"
	}
	var m *messageError
	if errors.As(err, &m) {
		return "org.apache.kafka.common.errors." + name, m.message
	}
	return "org.apache.kafka.common.errors." + name, defaultMessage(ke)
}

// messageError carries the message a broker sent with an error code.
type messageError struct {
	err     error
	message string
}

// Error is the broker's message.
func (e *messageError) Error() string { return e.message }

// Unwrap is the code.
func (e *messageError) Unwrap() error { return e.err }

// withMessage joins an error code and the broker's message, if it sent one.
func withMessage(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	return &messageError{err, message}
}

// javaText is "class: message".
func javaText(err error) string {
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		return err.Error()
	}
	class, message := exception(err)
	return class + ": " + message
}

// shortText is the message alone, as a tool prints it behind words of its own.
func shortText(err error) string {
	_, message := exception(err)
	return message
}

// exceptions are the Java classes of the codes these tools meet.
func exceptions() map[int16]string {
	return map[int16]string{
		kerr.UnknownServerError.Code:           "UnknownServerException",
		kerr.UnknownTopicOrPartition.Code:      "UnknownTopicOrPartitionException",
		kerr.LeaderNotAvailable.Code:           "LeaderNotAvailableException",
		kerr.NotLeaderForPartition.Code:        "NotLeaderOrFollowerException",
		kerr.RequestTimedOut.Code:              "TimeoutException",
		kerr.MessageTooLarge.Code:              "RecordTooLargeException",
		kerr.CoordinatorNotAvailable.Code:      "CoordinatorNotAvailableException",
		kerr.CoordinatorLoadInProgress.Code:    "CoordinatorLoadInProgressException",
		kerr.NotCoordinator.Code:               "NotCoordinatorException",
		kerr.InvalidTopicException.Code:        "InvalidTopicException",
		kerr.NotEnoughReplicas.Code:            "NotEnoughReplicasException",
		kerr.UnknownMemberID.Code:              "UnknownMemberIdException",
		kerr.RebalanceInProgress.Code:          "RebalanceInProgressException",
		kerr.TopicAuthorizationFailed.Code:     "TopicAuthorizationException",
		kerr.GroupAuthorizationFailed.Code:     "GroupAuthorizationException",
		kerr.ClusterAuthorizationFailed.Code:   "ClusterAuthorizationException",
		kerr.InvalidTimestamp.Code:             "InvalidTimestampException",
		kerr.UnsupportedVersion.Code:           "UnsupportedVersionException",
		kerr.TopicAlreadyExists.Code:           "TopicExistsException",
		kerr.InvalidPartitions.Code:            "InvalidPartitionsException",
		kerr.InvalidReplicationFactor.Code:     "InvalidReplicationFactorException",
		kerr.InvalidReplicaAssignment.Code:     "InvalidReplicaAssignmentException",
		kerr.InvalidConfig.Code:                "InvalidConfigurationException",
		kerr.NotController.Code:                "NotControllerException",
		kerr.InvalidRequest.Code:               "InvalidRequestException",
		kerr.PolicyViolation.Code:              "PolicyViolationException",
		kerr.KafkaStorageError.Code:            "KafkaStorageException",
		kerr.NonEmptyGroup.Code:                "GroupNotEmptyException",
		kerr.GroupIDNotFound.Code:              "GroupIdNotFoundException",
		kerr.InvalidGroupID.Code:               "InvalidGroupIdException",
		kerr.TopicDeletionDisabled.Code:        "TopicDeletionDisabledException",
		kerr.GroupSubscribedToTopic.Code:       "GroupSubscribedToTopicException",
		kerr.InvalidRecord.Code:                "InvalidRecordException",
		kerr.UnknownTopicID.Code:               "UnknownTopicIdException",
		kerr.BrokerNotAvailable.Code:           "BrokerNotAvailableException",
		kerr.ThrottlingQuotaExceeded.Code:      "ThrottlingQuotaExceededException",
		kerr.TransactionalIDNotFound.Code:      "TransactionalIdNotFoundException",
		kerr.SecurityDisabled.Code:             "SecurityDisabledException",
		kerr.OffsetOutOfRange.Code:             "OffsetOutOfRangeException",
		kerr.CorruptMessage.Code:               "CorruptRecordException",
		kerr.FencedInstanceID.Code:             "FencedInstanceIdException",
		kerr.UnsupportedForMessageFormat.Code:  "UnsupportedForMessageFormatException",
		kerr.ReassignmentInProgress.Code:       "ReassignmentInProgressException",
		kerr.UnsupportedCompressionType.Code:   "UnsupportedCompressionTypeException",
		kerr.GroupMaxSizeReached.Code:          "GroupMaxSizeReachedException",
		kerr.InvalidProducerEpoch.Code:         "InvalidProducerEpochException",
		kerr.OutOfOrderSequenceNumber.Code:     "OutOfOrderSequenceException",
		kerr.InconsistentGroupProtocol.Code:    "InconsistentGroupProtocolException",
		kerr.NotEnoughReplicasAfterAppend.Code: "NotEnoughReplicasAfterAppendException",
	}
}

// defaultMessage is what Java's client says for a code that came without a message, for the codes scripts look at.
func defaultMessage(e *kerr.Error) string {
	switch e.Code {
	case kerr.UnknownTopicOrPartition.Code:
		return "This server does not host this topic-partition."
	case kerr.NonEmptyGroup.Code:
		return "The group is not empty."
	case kerr.GroupIDNotFound.Code:
		return "The group id does not exist."
	case kerr.GroupSubscribedToTopic.Code:
		return "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
	case kerr.TopicDeletionDisabled.Code:
		return "Topic deletion is disabled."
	case kerr.UnsupportedVersion.Code:
		return "The version of API is not supported."
	}
	return e.Description
}

// hashOrder sorts names the way Java's HashMap iterates over them, which is the order some tools print in: by the slot a name's hash
// falls into. capacity is what the map was made for; a map of unknown size begins with 16 slots.
func hashOrder(names []string, capacity int) []string {
	slots := 1
	for slots < capacity {
		slots *= 2
	}
	if capacity <= 0 {
		slots = 16
	}
	for len(names) > slots*3/4 {
		slots *= 2
	}
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int { return slot(a, slots) - slot(b, slots) })
	return out
}

func slot(s string, slots int) int {
	var h uint32
	for _, r := range s {
		h = 31*h + uint32(r)
	}
	return int((h ^ h>>16) & uint32(slots-1))
}

// warn is a line of the tools' own warnings.
func (t *tool) warn(format string, args ...any) {
	t.errorf("%s\n", fmt.Sprintf(format, args...))
}
