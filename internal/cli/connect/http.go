package connect

import "net"

// SeenFromHere is where a broker's HTTP listener is reached. What listens on the loopback interface is out of reach of other machines, and what answers there is
// somebody else.
func SeenFromHere(listen, broker string) (string, bool) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		return "", false
	}
	ip := net.ParseIP(host)
	switch {
	case host == "" || ip != nil && ip.IsUnspecified():
		host = broker
	case (host == "localhost" || ip != nil && ip.IsLoopback()) && !isLocal(broker):
		return "", false
	}
	return net.JoinHostPort(host, port), true
}

// isLocal reports that a host is this machine.
func isLocal(host string) bool {
	ips, err := net.LookupIP(host)
	if err != nil {
		return false
	}
	mine, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, ip := range ips {
		for _, a := range mine {
			if n, ok := a.(*net.IPNet); ip.IsLoopback() || ok && n.IP.Equal(ip) {
				return true
			}
		}
	}
	return false
}
