package api

import (
	"fmt"

	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// Kinds of endpoints a client can ask DescribeCluster for (KIP-919).
const (
	endpointBrokers     int8 = 1
	endpointControllers int8 = 2
)

// describeCluster answers key 60: the cluster's id, controller and brokers. Since version 2 fenced brokers can be asked for (KIP-1073).
func describeCluster(a *API, r *Request, q *wire.DescribeClusterRequest) (*wire.DescribeClusterResponse, error) {
	resp := wire.NewDescribeClusterResponse()
	refuse := func(code model.ErrorCode, message string) (*wire.DescribeClusterResponse, error) {
		resp.ErrorCode, resp.ErrorMessage = code, &message
		return &resp, nil
	}
	switch q.EndpointType {
	case endpointBrokers:
	case endpointControllers:
		return refuse(model.MismatchedEndpointType, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
	default:
		return refuse(model.UnsupportedEndpointType, fmt.Sprintf("Unsupported endpoint type %d", q.EndpointType))
	}
	resp.ClusterID, resp.ControllerID = r.Image.ClusterID, int32(a.controllerID(r.Image))
	if q.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	for _, b := range r.Image.Brokers() {
		host, port, ok := a.Advertised(r.Conn, b.ID)
		if !ok || b.Fenced && !q.IncludeFencedBrokers {
			continue
		}
		resp.Brokers = append(resp.Brokers, wire.DescribeClusterResponseBroker{BrokerID: int32(b.ID), Host: host, Port: port, Rack: b.Rack, IsFenced: b.Fenced})
	}
	return &resp, nil
}
