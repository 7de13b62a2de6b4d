#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/Policy/GoldenPolicy.swift: packets that policies pass or deny, and ICMP errors about packets of flows, each built whole by scapy.

    /usr/bin/python3 scripts/make-golden-policy.py > Tests/DataplaneTests/Policy/GoldenPolicy.swift
"""
import struct

import golden
from scapy.all import ICMP, IP, TCP, UDP, VXLAN, Ether, ICMPv6DestUnreach, ICMPv6EchoReply, IPv6

GATEWAY, A, B, C = "00:00:5e:00:01:00", "02:00:00:00:01:11", "02:00:00:00:01:13", "02:00:00:00:01:12"
packets = {}
question, answer = b"question", b"answer--"


def ip(source, destination, ttl=64, **fields):
    return IP(src=source, dst=destination, ttl=ttl, id=1, **fields)


def ip6(source, destination, ttl=64):
    return IPv6(src=source, dst=destination, hlim=ttl)


out, into_a, into_c, from_c = Ether(src=A, dst=GATEWAY), Ether(src=GATEWAY, dst=A), Ether(src=GATEWAY, dst=C), Ether(src=C, dst=GATEWAY)
a, c, seen = "10.1.0.11", "10.1.0.12", "203.0.113.5"
a6, c6, seen6 = "fd00:1::11", "fd00:1::12", "2001:db8::5"

for port in (53, 54):
    packets[f"udp{port}"] = out / ip(a, c) / UDP(sport=4000, dport=port) / question
    packets[f"udp{port}Delivered"] = into_c / ip(a, c, 63) / UDP(sport=4000, dport=port) / question
packets["answer53"] = from_c / ip(c, a) / UDP(sport=53, dport=4000) / answer
packets["answer53Delivered"] = into_a / ip(c, a, 63) / UDP(sport=53, dport=4000) / answer
packets["udp53v6"] = out / ip6(a6, c6) / UDP(sport=4000, dport=53) / question
packets["udp53v6Delivered"] = into_c / ip6(a6, c6, 63) / UDP(sport=4000, dport=53) / question
packets["gre"] = out / ip(a, c, proto=47) / bytes(16)
packets["greDelivered"] = into_c / ip(a, c, 63, proto=47) / bytes(16)
packets["cutTCP"] = out / ip(a, c, proto=6) / bytes(8)
packets["echo"] = out / ip(a, c) / ICMP(type=8, id=77, seq=1) / question
packets["echoDelivered"] = into_c / ip(a, c, 63) / ICMP(type=8, id=77, seq=1) / question
# An answer to a question that nobody here has seen.
packets["echoReply"] = out / ip(a, c) / ICMP(type=0, id=77, seq=1) / question
packets["echoReplyDelivered"] = into_c / ip(a, c, 63) / ICMP(type=0, id=77, seq=1) / question
packets["echoReply6"] = out / ip6(a6, c6) / ICMPv6EchoReply(id=77, seq=1, data=question)
packets["echoReply6Delivered"] = into_c / ip6(a6, c6, 63) / ICMPv6EchoReply(id=77, seq=1, data=question)
# Protocols with ports that this router knows by these alone: the shortest header of each.
for port in (53, 54):
    for name, proto, size in (("sctp", 132, 12), ("dccp", 33, 12), ("udpLite", 136, 8)):
        content = struct.pack("!HH", 4000, port) + bytes(size - 4)
        packets[f"{name}{port}"] = out / ip(a, c, proto=proto) / content
        packets[f"{name}{port}Delivered"] = into_c / ip(a, c, 63, proto=proto) / content
packets["answerSCTP53"] = from_c / ip(c, a, proto=132) / (struct.pack("!HH", 53, 4000) + bytes(8))
packets["answerSCTP53Delivered"] = into_a / ip(c, a, 63, proto=132) / (struct.pack("!HH", 53, 4000) + bytes(8))
packets["cutSCTP"] = out / ip(a, c, proto=132) / bytes(8)
packets["esp"] = out / ip(a, c, proto=50) / bytes(16)
packets["timestamp"] = out / ip(a, c) / ICMP(type=13, id=5, seq=1, ts_ori=1, ts_rx=2, ts_tx=3)

# From 10.1.0.13 on the other node, bridged to blue2.
inner = Ether(src=B, dst=C) / ip("10.1.0.13", c) / UDP(sport=5000, dport=53) / question
packets["tunnelled"] = (
    Ether(src="02:00:00:00:0f:02", dst="02:00:00:00:0f:01") / ip("10.0.0.12", "10.0.0.11", flags="DF") / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=5001, flags=8) / inner
)
packets["tunnelledDelivered"] = inner

# blue2's answer to `udp53`, quoting what it was given; without translation and with (10.1.0.11:4000 seen as 203.0.113.5:61001).
given = ip(a, c, 63) / UDP(sport=4000, dport=53) / question
shown = ip(seen, c, 63) / UDP(sport=61001, dport=53) / question
packets["unreachable"] = from_c / ip(c, a) / ICMP(type=3, code=3) / given
packets["unreachableDelivered"] = into_a / ip(c, a, 63) / ICMP(type=3, code=3) / given
packets["unreachableOfShown"] = from_c / ip(c, seen) / ICMP(type=3, code=3) / shown
# … and from a router on the way, which keeps its address.
packets["exceededOfShown"] = from_c / ip("192.0.2.9", seen) / ICMP(type=11, code=0) / shown
packets["exceededDelivered"] = into_a / ip("192.0.2.9", a, 63) / ICMP(type=11, code=0) / given
# Enough of a TCP header that its checksum is in the quote.
packets["prohibitedOfShown"] = from_c / ip(c, seen) / ICMP(type=3, code=13) / ip(seen, c, 63) / TCP(sport=61001, dport=80, flags="A", seq=9, ack=1)
packets["prohibitedDelivered"] = into_a / ip(c, a, 63) / ICMP(type=3, code=13) / ip(a, c, 63) / TCP(sport=4000, dport=80, flags="A", seq=9, ack=1)
given6 = ip6(a6, c6, 63) / UDP(sport=4000, dport=53) / question
packets["unreachable6OfShown"] = from_c / ip6(c6, seen6) / ICMPv6DestUnreach(code=4) / ip6(seen6, c6, 63) / UDP(sport=61001, dport=53) / question
packets["unreachable6Delivered"] = into_a / ip6(c6, a6, 63) / ICMPv6DestUnreach(code=4) / given6

# Errors of blue1 to blue2 about what somebody else has sent: 10.1.0.13's answer to blue1.
stray, stray6 = ICMP(type=3, code=1), ICMPv6DestUnreach(code=3)
packets["strayError"] = out / ip(a, c) / stray / ip("10.1.0.13", a, 63) / UDP(sport=53, dport=4000) / answer
packets["strayErrorDelivered"] = into_c / ip(a, c, 63) / stray / ip("10.1.0.13", a, 63) / UDP(sport=53, dport=4000) / answer
packets["strayError6"] = out / ip6(a6, c6) / stray6 / ip6("fd00:1::13", a6, 63) / UDP(sport=53, dport=4000) / answer
packets["strayError6Delivered"] = into_c / ip6(a6, c6, 63) / stray6 / ip6("fd00:1::13", a6, 63) / UDP(sport=53, dport=4000) / answer
# About DCCP and UDP-Lite, whose checksums cover the addresses, too.
for name, proto, transport in (("DCCP", 33, golden.dccp), ("UDPLite", 136, golden.udp_lite)):
    packets[f"prohibitedOf{name}Shown"] = from_c / ip(c, seen) / ICMP(type=3, code=13) / golden.checked(ip(seen, c, 63, proto=proto), transport(61001, 80))
    packets[f"prohibited{name}Delivered"] = into_a / ip(c, a, 63) / ICMP(type=3, code=13) / golden.checked(ip(a, c, 63, proto=proto), transport(4000, 80))

golden.write("make-golden-policy.py", "GoldenPolicy", packets)
