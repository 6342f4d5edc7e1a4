package api

import (
	"github.com/klamm/klamm/internal/model"
	"github.com/klamm/klamm/internal/wire"
)

// validSoftware is Kafka's rule for the software name and version a client may give (KIP-511): letters, digits, dots and dashes, the last
// two neither first nor last.
func validSoftware(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '.' || c == '-') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// apiVersions answers key 18: what this node serves. Version 3 and later name the client's software; version 5 says which cluster and
// node the client believes it talks to (KIP-1242).
func apiVersions(a *API, r *Request) error {
	var q wire.APIVersionsRequest
	if err := r.decode(&q); err != nil {
		return err
	}
	code := model.None
	switch {
	case r.Version >= 3 && !(validSoftware(q.ClientSoftwareName) && validSoftware(q.ClientSoftwareVersion)):
		code = model.InvalidRequest
	case r.Version >= 5 && a.misrouted(&q):
		code = model.RebootstrapRequired
	case r.Version >= 3:
		r.Conn.SetSoftware(q.ClientSoftwareName, q.ClientSoftwareVersion)
	}
	r.send(a.versions(r, code))
	return nil
}

// misrouted reports that the client meant another cluster or node: it must look its brokers up again.
func (a *API) misrouted(q *wire.APIVersionsRequest) bool {
	if q.ClusterID != nil && *q.ClusterID != a.Image().ClusterID {
		return true
	}
	return q.NodeID >= 0 && model.BrokerID(q.NodeID) != a.Me
}

func (a *API) versions(r *Request, code model.ErrorCode) *wire.APIVersionsResponse {
	resp := wire.NewAPIVersionsResponse()
	resp.ErrorCode = code
	if code != model.None && code != model.UnsupportedVersion {
		return &resp
	}
	for i := range a.entries {
		e := &a.entries[i]
		resp.ApiKeys = append(resp.ApiKeys, wire.APIVersionsResponseKey{ApiKey: int16(e.Key), MinVersion: e.Min, MaxVersion: e.Max})
	}
	a.features(r, &resp)
	return &resp
}

// features tells which finalized feature levels the cluster runs at (KIP-584), which gates what newer clients dare to use.
func (a *API) features(r *Request, resp *wire.APIVersionsResponse) {
	resp.FinalizedFeaturesEpoch = int64(r.Image.Offset)
	for _, f := range r.Image.Features() {
		resp.SupportedFeatures = append(resp.SupportedFeatures, wire.APIVersionsResponseSupportedFeature{Name: f.Name, MinVersion: f.SupportedMin, MaxVersion: f.SupportedMax})
		if f.Level > 0 {
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, wire.APIVersionsResponseFinalizedFeature{Name: f.Name, MaxVersionLevel: f.Level, MinVersionLevel: f.Level})
		}
	}
}
