package expr

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strconv"
)

func networkFunctions() []*function {
	return []*function{
		row("cidr_contains(cidr: text, address: text): bool", "Whether an address, or a whole range, lies in the range.", text2(cidrContains)),
		row("cidr_overlaps(a: text, b: text): bool", "Whether two ranges have an address in common.", text2(cidrOverlaps)),
		row("cidr_host(cidr: text, n: int): text", "The address number n of a range, counted from 0; from the end when n is negative.", cidrHost),
		row("cidr_prefix(cidr: text): int", "Length of the prefix: 16 of 10.244.0.0/16.", text1(func(s string) (any, error) {
			p, err := parsePrefix(s)
			return p.Bits(), err
		})),
		row("cidr_network(cidr: text): text", "The range without host bits: 10.1.0.0/16 of 10.1.2.3/16.", text1(func(s string) (any, error) {
			p, err := parsePrefix(s)
			return p.Masked().String(), err
		})),
		row("cidr_netmask(cidr: text): text", "Netmask of an IPv4 range: 255.255.0.0 of 10.244.0.0/16.", text1(cidrNetmask)),
		row("is_ipv6(address: text): bool", "Whether an address or a range is of IPv6.", text1(isIPv6)),
		row("host_port(address: text, port: int): text", "address:port, with the brackets IPv6 needs.", hostPort),
	}
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no address range such as 10.244.0.0/16", s)
	}
	return p, nil
}

// parseRange reads a range, or an address as a range of one.
func parseRange(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no address, and no address range", s)
	}
	return p, nil
}

func cidrContains(outer, inner string) (any, error) {
	o, err1 := parsePrefix(outer)
	i, err2 := parseRange(inner)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return o.Bits() <= i.Bits() && o.Contains(i.Addr()), nil
}

func cidrOverlaps(a, b string) (any, error) {
	x, err1 := parsePrefix(a)
	y, err2 := parsePrefix(b)
	return x.Overlaps(y), errors.Join(err1, err2)
}

func cidrHost(a args) (any, error) {
	s, err1 := a.text(0)
	n, err2 := a.int(1, 0)
	p, err3 := parsePrefix(s)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	offset := big.NewInt(int64(n))
	if n < 0 {
		offset.Add(offset, size)
	}
	if offset.Sign() < 0 || offset.Cmp(size) >= 0 {
		return nil, fmt.Errorf("%s has %s addresses, there is no number %d", p.Masked(), size, n)
	}
	base := p.Masked().Addr().AsSlice()
	sum := new(big.Int).Add(new(big.Int).SetBytes(base), offset)
	out, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, len(base))))
	return out.String(), nil
}

func cidrNetmask(s string) (any, error) {
	p, err := parsePrefix(s)
	if err != nil {
		return nil, err
	}
	if !p.Addr().Is4() {
		return nil, fmt.Errorf("%s is no IPv4 range", p)
	}
	return net.IP(net.CIDRMask(p.Bits(), 32)).String(), nil
}

func isIPv6(s string) (any, error) {
	p, err := parseRange(s)
	return p.Addr().Is6(), err
}

func hostPort(a args) (any, error) {
	s, err1 := a.text(0)
	n, err2 := a.int(1, 0)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if n < 1 || n > 65535 {
		return nil, fmt.Errorf("%d is no port", n)
	}
	return net.JoinHostPort(s, strconv.Itoa(n)), nil
}
