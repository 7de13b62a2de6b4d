#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/NAT/GoldenNATRules.swift: packets before and after the translations that rules make, each built whole by scapy, which computes every
checksum from nothing. What goes into a tunnel or comes out of one is given as the IP packet in it.

    /usr/bin/python3 scripts/make-golden-nat-rules.py > Tests/DataplaneTests/NAT/GoldenNATRules.swift
"""
import golden
from scapy.all import ICMP, IP, TCP, UDP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, Raw

GATEWAY, A, C = "00:00:5e:00:01:00", "02:00:00:00:01:11", "02:00:00:00:01:12"
data = Raw(bytes(range(31)))
packets = {}


def ip(source, destination, ttl):
    if ":" in source:
        return IPv6(src=source, dst=destination, hlim=ttl)
    return IP(src=source, dst=destination, ttl=ttl, id=7)


def frame(destination, source, packet):
    return Ether(dst=destination, src=source) / packet


def outside(name, inner, external, peer, request, reply, port):
    """A request of blue1 that leaves by a tunnel under its external address, and the reply."""
    packets[name] = frame(GATEWAY, A, ip(inner, peer, 64) / request(port[0]))
    packets[name + "Out"] = ip(external, peer, 63) / request(port[1])
    packets[name + "Reply"] = ip(peer, external, 64) / reply(port[1])
    packets[name + "ReplyIn"] = frame(A, GATEWAY, ip(peer, inner, 63) / reply(port[0]))


def both(name, port, suffix=""):
    for v6, ends in ((False, ("10.1.0.11", "203.0.113.5", "198.51.100.9")), (True, ("fd00:1::11", "2001:db8::5", "2001:db8:9::9"))):
        s = ("6" if v6 else "") + suffix
        outside(f"{name}Udp{s}", *ends, lambda p: UDP(sport=p, dport=53) / data, lambda p: UDP(sport=53, dport=p) / data, port)
        outside(f"{name}Tcp{s}", *ends, lambda p: TCP(sport=p, dport=80, flags="S", seq=9), lambda p: TCP(sport=80, dport=p, flags="SA", seq=1, ack=10), port)
        if v6:
            outside(f"{name}Echo{s}", *ends, lambda p: ICMPv6EchoRequest(id=p, seq=3, data=bytes(data)),
                    lambda p: ICMPv6EchoReply(id=p, seq=3, data=bytes(data)), port)
        else:
            outside(f"{name}Echo{s}", *ends, lambda p: ICMP(id=p, seq=3) / data, lambda p: ICMP(type=0, id=p, seq=3) / data, port)


# A floating IP keeps ports; an address that is shared does not.
both("floating", (4000, 4000))
both("shared", (4000, 61001))
# A neighbour's floating IP: each sees the other's.
request, reply = UDP(sport=4000, dport=53) / data, UDP(sport=53, dport=4000) / data
packets["hairpin"] = frame(GATEWAY, A, ip("10.1.0.11", "203.0.113.6", 64) / request)
packets["hairpinIn"] = frame(C, GATEWAY, ip("203.0.113.5", "10.1.0.12", 63) / request)
packets["hairpinReply"] = frame(GATEWAY, C, ip("10.1.0.12", "203.0.113.5", 64) / reply)
packets["hairpinReplyIn"] = frame(A, GATEWAY, ip("203.0.113.6", "10.1.0.11", 63) / reply)
# A service at 10.96.0.1 port 80, whose backend is at port 8080; and one that is its own backend.
syn, answer = (lambda p: TCP(sport=4000, dport=p, flags="S", seq=9)), (lambda p: TCP(sport=p, dport=4000, flags="SA", seq=1, ack=10))
packets["service"] = frame(GATEWAY, A, ip("10.1.0.11", "10.96.0.1", 64) / syn(80))
packets["serviceIn"] = frame(C, GATEWAY, ip("10.1.0.11", "10.1.0.12", 63) / syn(8080))
packets["serviceReply"] = frame(GATEWAY, C, ip("10.1.0.12", "10.1.0.11", 64) / answer(8080))
packets["serviceReplyIn"] = frame(A, GATEWAY, ip("10.96.0.1", "10.1.0.11", 63) / answer(80))
packets["itself"] = frame(A, GATEWAY, ip("10.96.0.1", "10.1.0.11", 63) / syn(8080))
packets["itselfReply"] = frame(GATEWAY, A, ip("10.1.0.11", "10.96.0.1", 64) / answer(8080))
packets["itselfReplyIn"] = frame(A, GATEWAY, ip("10.96.0.1", "10.1.0.11", 63) / answer(80))
# An error of a router outside about what blue1 sent; the same as blue1 gets it.
packets["error"] = ip("198.51.100.1", "203.0.113.5", 64) / ICMP(type=3, code=1) / ip("203.0.113.5", "198.51.100.9", 60) / UDP(sport=4000, dport=53) / data
packets["errorIn"] = frame(A, GATEWAY, ip("198.51.100.1", "10.1.0.11", 63) / ICMP(type=3, code=1) / ip("10.1.0.11", "198.51.100.9", 60)
                           / UDP(sport=4000, dport=53) / data)
# Runs out of hops here.
packets["last"] = frame(GATEWAY, A, ip("10.1.0.11", "198.51.100.9", 1) / UDP(sport=4000, dport=53) / data)

golden.write("make-golden-nat-rules.py", "GoldenNATRules", packets)
