#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/Pipeline/GoldenNAT.swift: packets before and after address translation, each built whole by scapy, which computes every
checksum from nothing.

    /usr/bin/python3 scripts/make-golden-nat.py > Tests/DataplaneTests/Pipeline/GoldenNAT.swift
"""
import golden
from scapy.all import ICMP, IP, TCP, UDP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, Raw

GATEWAY, A, C = "00:00:5e:00:01:00", "02:00:00:00:01:11", "02:00:00:00:01:12"
data = Raw(bytes(range(31)))
packets = {}


def pair(name, address, port, outside, outside_port, peer, transport, reply, join=lambda ip, content: ip / content, proto=None):
    """A request of `address` that leaves as `outside`, and the reply to that."""
    ip = IPv6 if ":" in address else IP
    fields = {} if proto is None else {"nh" if ip is IPv6 else "proto": proto}
    ttl = (lambda n: {"hlim": n, **fields}) if ip is IPv6 else (lambda n: {"ttl": n, "id": 7, **fields})
    packets[name] = Ether(dst=GATEWAY, src=A) / join(ip(src=address, dst=peer, **ttl(64)), transport(port))
    packets[name + "Translated"] = Ether(dst=C, src=GATEWAY) / join(ip(src=outside, dst=peer, **ttl(63)), transport(outside_port))
    packets[name + "Reply"] = Ether(dst=GATEWAY, src=C) / join(ip(src=peer, dst=outside, **ttl(64)), reply(outside_port))
    packets[name + "ReplyTranslated"] = Ether(dst=A, src=GATEWAY) / join(ip(src=peer, dst=address, **ttl(63)), reply(port))


ends = ("10.1.0.11", 4000, "203.0.113.5", 61001, "10.1.0.12")
pair("udp", *ends, lambda p: UDP(sport=p, dport=53) / data, lambda p: UDP(sport=53, dport=p) / data)
pair("udpWithout", *ends, lambda p: UDP(sport=p, dport=53, chksum=0) / data, lambda p: UDP(sport=53, dport=p, chksum=0) / data)
pair("tcp", *ends, lambda p: TCP(sport=p, dport=80, flags="A", seq=9, ack=1) / data, lambda p: TCP(sport=80, dport=p, flags="A", seq=1, ack=40) / data)
pair("echo", "10.1.0.11", 77, "203.0.113.5", 50123, "10.1.0.12", lambda p: ICMP(id=p, seq=3) / data, lambda p: ICMP(type=0, id=p, seq=3) / data)
ends = ("fd00:1::11", 4000, "2001:db8::5", 61001, "fd00:1::12")
pair("udp6", *ends, lambda p: UDP(sport=p, dport=53) / data, lambda p: UDP(sport=53, dport=p) / data)
pair("tcp6", *ends, lambda p: TCP(sport=p, dport=80, flags="A") / data, lambda p: TCP(sport=80, dport=p, flags="A") / data)
pair("echo6", "fd00:1::11", 77, "2001:db8::5", 50123, "fd00:1::12", lambda p: ICMPv6EchoRequest(id=p, seq=3, data=bytes(data)),
     lambda p: ICMPv6EchoReply(id=p, seq=3, data=bytes(data)))
# A checksum that comes out as 0 and is sent as 0xffff (RFC 768).
base = bytes(IP(src="203.0.113.5", dst="10.1.0.12") / UDP(sport=61001, dport=53) / Raw(bytes(2)))
fill = Raw(base[26:28])
ends = ("10.1.0.11", 4000, "203.0.113.5", 61001, "10.1.0.12")
pair("udpZero", *ends, lambda p: UDP(sport=p, dport=53) / fill, lambda p: UDP(sport=53, dport=p) / fill)

# Checksums with a pseudo-header that scapy does not know: DCCP (RFC 4340 section 9.1), UDP-Lite (RFC 3828 section 3.1), of all octets and of its header alone.
octets = bytes(data)
ends6 = ("fd00:1::11", 4000, "2001:db8::5", 61001, "fd00:1::12")
for suffix, between in (("", ends), ("6", ends6)):
    pair("dccp" + suffix, *between, lambda p: golden.dccp(p, 53, octets), lambda p: golden.dccp(53, p, octets), golden.checked, 33)
    pair("lite" + suffix, *between, lambda p: golden.udp_lite(p, 53, octets), lambda p: golden.udp_lite(53, p, octets), golden.checked, 136)
    pair("liteHeader" + suffix, *between, lambda p: golden.udp_lite(p, 53, octets, 8), lambda p: golden.udp_lite(53, p, octets, 8),
         lambda ip, content: golden.checked(ip, content, covered=8), 136)
# Zero becomes 0xffff (RFC 3828 section 3.1).
bare = bytes(golden.checked(IP(src="203.0.113.5", dst="10.1.0.12", proto=136), golden.udp_lite(61001, 53, bytes(2))))
pair("liteZero", *ends, lambda p: golden.udp_lite(p, 53, bare[26:28]), lambda p: golden.udp_lite(53, p, bare[26:28]), golden.checked, 136)

golden.write("make-golden-nat.py", "GoldenNAT", packets)
