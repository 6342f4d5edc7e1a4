package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
)

// Host is a machine on the lab's network. It reaches the others and the test, and nothing else.
type Host struct {
	lab *Lab
	// IP is its address. The test itself is at Lab.Self.
	IP   string
	name string
}

// openNetwork makes the bridge, with an address of the test's own on it.
func (l *Lab) openNetwork() error {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	// 198.18.0.0/15 is set aside for tests of networks; another lab may have part of it.
	for try := range 50 {
		l.subnet = fmt.Sprintf("198.%d.%d.", 18+rand.IntN(2), rand.IntN(256))
		free := true
		for _, a := range taken {
			free = free && !strings.HasPrefix(a.String(), l.subnet)
		}
		if free {
			break
		}
		if try == 49 {
			return fmt.Errorf("no free network below 198.18.0.0/15")
		}
	}
	bridge := l.id + "-b"
	// With an address that is given it does not take one over from every new port, which would be news to all that know the old one.
	mac := fmt.Sprintf("02:6b:%02x:%02x:%02x:fe", rand.IntN(256), rand.IntN(256), rand.IntN(256))
	if err := run("", "ip", "link", "add", bridge, "address", mac, "type", "bridge"); err != nil {
		return err
	}
	return run(fmt.Sprintf("addr add %s dev %s\nlink set %s up\n", l.Self()+"/24", bridge, bridge), "ip", "-batch", "-")
}

// Self is the address of the test on the lab's network.
func (l *Lab) Self() string { return l.subnet + "254" }

// Host puts another machine on the network.
func (l *Lab) Host() (*Host, error) {
	l.hosts++
	h := &Host{lab: l, IP: fmt.Sprint(l.subnet, l.hosts), name: fmt.Sprint(l.id, "-", l.hosts)}
	if err := run("", "ip", "netns", "add", h.name); err != nil {
		return nil, err
	}
	far := h.name + "p"
	outside := fmt.Sprintf("link add %s type veth peer name %s netns %s\nlink set %s master %s up\n", h.name, far, h.name, h.name, l.id+"-b")
	if err := run(outside, "ip", "-batch", "-"); err != nil {
		return nil, err
	}
	inside := fmt.Sprintf("link set lo up\naddr add %s/24 dev %s\nlink set %s up\n", h.IP, far, far)
	return h, run(inside, "ip", "-n", h.name, "-batch", "-")
}

// Command is a command line that runs on the host. nsenter and not `ip netns exec`: that would keep every mount of this moment for itself,
// and a disk could not be taken out any more.
func (h *Host) Command(command ...string) []string {
	return append([]string{"nsenter", "--net=/run/netns/" + h.name}, command...)
}

// Rule is something that happens to packets on a host.
type Rule string

func set(addresses []string) string { return "{ " + strings.Join(addresses, ", ") + " }" }

// Deaf loses what comes from these addresses. The way back stays open: a cut both ways is Deaf and Mute.
func Deaf(from ...string) Rule { return Rule("add rule inet lab in ip saddr " + set(from) + " drop") }

// Mute loses what goes to these addresses.
func Mute(to ...string) Rule { return Rule("add rule inet lab out ip daddr " + set(to) + " drop") }

// Lossy loses so many of a hundred packets that come in.
func Lossy(percent int) Rule {
	return Rule(fmt.Sprintf("add rule inet lab in numgen random mod 100 < %d drop", percent))
}

// Resets answers what comes from these addresses by a reset: their connections break, and new ones are refused.
func Resets(from ...string) Rule {
	return Rule("add rule inet lab in ip saddr " + set(from) + " meta l4proto tcp reject with tcp reset")
}

// Break puts these rules into force on the host, in place of those before; with none the network is whole again.
func (h *Host) Break(rules ...Rule) error {
	text := "add table inet lab\ndelete table inet lab\n"
	if len(rules) > 0 {
		text += "add table inet lab\n" +
			"add chain inet lab in { type filter hook input priority 0; }\n" +
			"add chain inet lab out { type filter hook output priority 0; }\n"
		for _, r := range rules {
			text += string(r) + "\n"
		}
	}
	return run(text, h.Command("nft", "-f", "-")...)
}
