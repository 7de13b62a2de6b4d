#!/usr/bin/env python3
"""Writes Corpus/<target>/ anew: the first inputs of each fuzz target, small packets that scapy builds. Run it after a change here; what it writes is committed.
What once failed is kept by hand in Kept/<target>/, under a name that says what it is; this script leaves it alone.

An input of `pipeline` is one octet that chooses the router, and from its third bit on what the control program says of flows it is asked about (nothing, forward, drop, translate,
delete; another group; a policy that passes all, or nothing), and then packets: where from (0 fabric, 1 host, 2 blue1, 3 blue2, 4 red1, 7 trunk, 5 and 6 from the control
program; plus 0x20, 0x40, 0x80 to make lengths, the header checksum and the inner header checksum right), two octets of length, the frame.
Others are a frame or a header; some take what steers them (an MTU) from the end.
"""
import functools, pathlib, shutil, struct, subprocess
from scapy.all import (ARP, DHCP, BOOTP, DNS, DNSQR, DNSRR, DNSRROPT, DNSRRSOA, Dot1AD, Dot1Q, Ether, GRE, ICMP, ICMPv6EchoRequest, ICMPv6NIQueryName, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig, IP, IPOption_LSRR, IPOption_NOP, IPOption_Router_Alert, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
    PadN, Raw, RouterAlert, TCP, UDP, fragment, fragment6)
from scapy.contrib.mpls import MPLS
from scapy.layers.dhcp6 import *
from scapy.layers.vxlan import VXLAN

ROOT = pathlib.Path(__file__).parent / "Corpus"
GATEWAY = "00:00:5e:00:01:00"
FABRIC, PEER = "02:00:00:00:0f:01", "02:00:00:00:0f:02"
BLUE1, BLUE2, RED1 = "02:00:00:00:01:01", "02:00:00:00:01:02", "02:00:00:00:01:03"

def routed4(dst, upper, src="10.1.0.11", mac=BLUE1, **fields): return Ether(src=mac, dst=GATEWAY) / IP(src=src, dst=dst, **fields) / upper
def routed6(dst, upper, src="fd00:1::11", mac=BLUE1, **fields): return Ether(src=mac, dst=GATEWAY) / IPv6(src=src, dst=dst, **fields) / upper
def bridged(dst, packet, src=BLUE1): return Ether(src=src, dst=dst) / packet
def outer4(upper, **fields): return Ether(src=PEER, dst=FABRIC) / IP(src="10.0.0.12", dst="10.0.0.11", **fields) / upper
def outer6(upper, **fields): return Ether(src=PEER, dst=FABRIC) / IPv6(src="fd00:f::12", dst="fd00:f::11", **fields) / upper
def vxlan(inner, outer=outer4, vni=5001, **fields): return outer(UDP(sport=50000, dport=4789, chksum=0) / VXLAN(flags=8, vni=vni) / inner, **fields)
def mpls_udp(packet, outer=outer4, label=30, **fields): return outer(UDP(sport=50000, dport=6635, chksum=0) / MPLS(label=label, s=1, ttl=64) / packet, **fields)
def mpls_gre(packet, outer=outer4, label=30, **fields): return outer(GRE(proto=0x8847) / MPLS(label=label, s=1, ttl=64) / packet, **fields)

UDP_, TCP_ = UDP(sport=1000, dport=2000) / Raw(b"payload"), TCP(sport=1000, dport=80, flags="A", seq=1, ack=2) / Raw(b"payload")
SYN = TCP(sport=1000, dport=80, flags="S", seq=1, options=[("NOP", None), ("MSS", 8960), ("WScale", 7), ("Timestamp", (1, 0))])
PING, PING6 = ICMP(id=7, seq=1) / Raw(b"echo echo"), ICMPv6EchoRequest(id=7, seq=1, data=b"echo echo")

def back4(upper, src="10.20.0.5", dst="10.1.0.11", **fields): return IP(src=src, dst=dst, **fields) / upper
def back6(upper, src="fd00:20::5", dst="fd00:1::11", **fields): return IPv6(src=src, dst=dst, **fields) / upper
def to_blue(packet): return Ether(src=PEER, dst=BLUE1) / packet
def to_gateway(packet): return Ether(src=PEER, dst=GATEWAY) / packet

FABRIC_IN, HOST, B1, B2, R1, RECEIVE, TRANSMIT, TRUNK = range(8)
FIX = 0xE0

workload = [routed4(f"10.{20 + n}.0.5", UDP_) for n in range(6)] + [routed6(f"fd00:{20 + n}::5", TCP_) for n in range(6)] + [
    routed4("10.20.0.5", SYN), routed6("fd00:23::5", SYN), routed4("10.20.0.5", UDP_, ttl=1), routed6("fd00:20::5", UDP_, hlim=1),
    routed4("10.32.0.5", UDP_), routed6("fd00:32::5", UDP_), routed4("10.30.0.5", UDP_), routed4("10.31.0.5", UDP_), routed4("10.99.0.5", UDP_),
    routed4("10.1.0.12", PING), routed6("fd00:1::12", PING6), routed4("10.1.0.1", PING), routed6("fd00:1::1", PING6), routed4("10.2.0.13", UDP_),
    routed6("fd00:2::13", UDP_), routed4("10.20.0.5", UDP(sport=1, dport=2) / Raw(b"x" * 1600)), routed4("10.20.0.5", UDP(sport=1, dport=2) / Raw(b"x" * 1600), flags="DF"),
    routed6("fd00:20::5", UDP(sport=1, dport=2) / Raw(b"x" * 1600)), routed4("10.20.0.5", TCP(flags="PA") / Raw(b"x" * 3100)), routed6("fd00:24::5", TCP(flags="PA") / Raw(b"x" * 3100)),
    routed4("10.1.0.12", UDP(sport=1, dport=2) / Raw(b"x" * 700)), routed4("10.1.0.12", UDP(sport=1, dport=2) / Raw(b"x" * 700), flags="DF"),
    routed4("10.20.0.5", UDP_, options=[IPOption_NOP(), IPOption_Router_Alert()]), routed4("10.20.0.5", UDP_, options=[IPOption_LSRR(routers=["10.1.0.9"])]),
    routed6("fd00:20::5", IPv6ExtHdrHopByHop(options=[RouterAlert()]) / UDP_), routed6("fd00:20::5", IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0")]) / TCP_),
    routed6("fd00:20::5", IPv6ExtHdrRouting(addresses=["fd00:1::9"], segleft=1) / UDP_), bridged(BLUE2, IP(src="10.1.0.11", dst="10.1.0.12") / UDP_),
    bridged("02:00:00:00:01:08", IP(src="10.1.0.11", dst="10.1.0.18") / TCP_), bridged("02:00:00:00:01:09", IPv6(src="fd00:1::11", dst="fd00:1::19") / PING6),
    bridged("02:00:00:00:01:08", Raw(b"\x88\xcc" + b"LLDP")), bridged("ff:ff:ff:ff:ff:ff", ARP(op=1, hwsrc=BLUE1, psrc="10.1.0.11", pdst="10.1.0.12")),
    bridged("ff:ff:ff:ff:ff:ff", ARP(op=1, hwsrc=BLUE1, psrc="10.1.0.11", pdst="10.1.0.1")), bridged("ff:ff:ff:ff:ff:ff", Dot1Q(vlan=5) / ARP(op=1, hwsrc=BLUE1, psrc="10.1.0.11", pdst="10.1.0.1")),
    bridged("33:33:ff:00:00:12", IPv6(src="fd00:1::11", dst="ff02::1:ff00:12", hlim=255) / ICMPv6ND_NS(tgt="fd00:1::12") / ICMPv6NDOptSrcLLAddr(lladdr=BLUE1)),
    bridged("33:33:00:00:00:02", IPv6(src="fe80::1", dst="ff02::2", hlim=255) / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=BLUE1)),
    bridged("33:33:00:00:00:01", IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt="fe80::1") / ICMPv6NDOptDstLLAddr(lladdr=BLUE1)),
    bridged("ff:ff:ff:ff:ff:ff", IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP(chaddr=b"\2\0\0\0\1\1") / DHCP(options=[("message-type", "discover"), "end"])),
    bridged("01:00:5e:01:01:01", IP(src="10.1.0.11", dst="224.1.1.1") / UDP_),
]
fabric = []
for outer in (outer4, outer6):
    for number, packet in enumerate((back4(UDP_), back6(PING6), back4(TCP_), back4(PING), back4(UDP(sport=1, dport=2) / Raw(b"x" * 700), dst="10.1.0.12"),
            back4(UDP(sport=1, dport=2) / Raw(b"x" * 700), dst="10.1.0.12", flags="DF"), back4(UDP_, dst="10.20.0.9"), back4(PING, dst="10.1.0.1"), back4(UDP_, tos=2), back4(SYN))):
        ways = [vxlan(to_gateway(packet), outer), vxlan(to_blue(packet), outer), mpls_udp(packet, outer), mpls_gre(packet, outer), mpls_udp(packet, outer, label=16), mpls_udp(packet, outer, label=31)]
        # Two of them every way, the others one way each.
        fabric += ways if number < 2 else [ways[number % len(ways)]]
    fabric += [vxlan(to_blue(back4(UDP_)), outer, vni=5002), vxlan(to_blue(Raw(b"\x88\xcc")), outer), vxlan(Ether(src=PEER, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc="10.1.0.9", pdst="10.1.0.11"), outer)]
fabric += [vxlan(to_gateway(back4(UDP_, tos=2)), tos=3), vxlan(to_gateway(back4(UDP_)), tos=3), mpls_udp(back6(UDP_, tc=2), tos=3), vxlan(to_gateway(back6(UDP_, tc=1)), outer6, tc=3)]
fabric += [Ether(src=PEER, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=PEER, psrc="10.0.0.12", pdst="10.0.0.11"), Ether(src=PEER, dst=FABRIC) / ARP(op=2, hwsrc=PEER, psrc="10.0.0.12", pdst="10.0.0.11"),
    Ether(src=PEER, dst="33:33:ff:00:00:11") / IPv6(src="fd00:f::12", dst="ff02::1:ff00:11", hlim=255) / ICMPv6ND_NS(tgt="fd00:f::11") / ICMPv6NDOptSrcLLAddr(lladdr=PEER),
    Ether(src=PEER, dst=FABRIC) / IPv6(src="fd00:f::12", dst="fd00:f::11", hlim=255) / ICMPv6ND_NA(tgt="fd00:f::12") / ICMPv6NDOptDstLLAddr(lladdr=PEER),
    outer4(PING), outer6(PING6), outer4(UDP(dport=53) / Raw(b"host")), outer4(ICMP(type=3, code=4) / IP(src="10.0.0.11", dst="10.0.0.12") / UDP(dport=4789)), outer6(ICMPv6PacketTooBig(mtu=1280) / IPv6(src="fd00:f::11", dst="fd00:f::12") / UDP(dport=4789)),
    vxlan(to_blue(back4(UDP_)), flags="MF"), Ether(src=PEER, dst=FABRIC) / Dot1Q(vlan=7) / IP(src="10.0.0.12", dst="10.0.0.11") / PING]
host = [Ether(src=FABRIC, dst=PEER) / IP(src="10.0.0.11", dst="10.0.0.12") / TCP(flags="PA") / Raw(b"x" * 3100), Ether(src=FABRIC, dst=PEER) / IP(src="10.0.0.11", dst="10.0.0.12") / UDP_,
    Ether(src=FABRIC, dst=PEER) / IPv6(src="fd00:f::11", dst="fd00:f::12") / TCP(flags="PA") / Raw(b"x" * 2000), Ether(src=FABRIC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc="10.0.0.11", pdst="10.0.0.12")]
fragments = [bytes(piece) for piece in fragment(routed4("10.20.0.5", UDP_ / Raw(b"y" * 600)), 200)] + [bytes(piece) for piece in fragment6(routed6("fd00:23::5", IPv6ExtHdrFragment() / UDP_ / Raw(b"y" * 1300)), 1280)]
connection = [routed4("10.1.0.12", SYN), Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.1.0.12", dst="10.1.0.11") / TCP(sport=80, dport=1000, flags="SA", seq=9, ack=2), routed4("10.1.0.12", TCP_),
    routed4("10.1.0.12", TCP(sport=1000, dport=80, flags="FA", seq=8, ack=10)), Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.1.0.12", dst="10.1.0.11") / TCP(sport=80, dport=1000, flags="R", seq=10)]

# Broadcasts and groups from everywhere; VLANs; flows that are translated, and their answers.
ALL, TRUNK_MAC = "ff:ff:ff:ff:ff:ff", "02:00:00:00:01:04"
group = Ether(src=BLUE1, dst="01:00:5e:02:02:02") / IP(src="10.1.0.11", dst="224.2.2.2", ttl=1) / UDP_
big_group = Ether(src=BLUE1, dst="01:00:5e:02:02:02") / IP(src="10.1.0.11", dst="224.2.2.2") / UDP(sport=1, dport=2) / Raw(b"g" * 1600)
flooded = [(B1, group), (B1, big_group), (B1, bridged("33:33:00:00:00:01", IPv6(src="fe80::1", dst="ff02::1") / PING6)), (B1, bridged("02:00:00:00:09:99", IP(src="10.1.0.11", dst="10.1.0.199") / UDP_)),
    (B1, bridged(ALL, ARP(op=1, hwsrc=BLUE1, psrc="10.1.0.11", pdst="10.1.0.199"))), (B1, bridged("01:00:5e:01:01:01", IP(src="10.1.0.11", dst="224.1.1.1") / UDP_)),
    (B1, Ether(src=BLUE1, dst="01:00:5e:00:00:16") / IP(src="10.1.0.11", dst="224.0.0.22", proto=2, options=[IPOption_Router_Alert()]) / Raw(b"\x22\0\0\0\0\0\0\0"))]
flooded += [(FABRIC_IN, vxlan(Ether(src=PEER, dst=ALL) / ARP(op=1, psrc="10.1.0.9", pdst="10.1.0.199"), outer)) for outer in (outer4, outer6)]
flooded += [(FABRIC_IN, outer(UDP(sport=50000, dport=6635, chksum=0) / MPLS(label=label, s=1, ttl=64) / Raw(b"\0\0\0\0") / VXLAN(flags=8, vni=5001) / Ether(src=PEER, dst=ALL) / IP(src="10.1.0.9", dst="10.1.0.255") / UDP_)) for outer in (outer4, outer6) for label in (32, 33, 34)]
flooded += [(FABRIC_IN, outer4(GRE(proto=0x8847) / MPLS(label=33, s=1, ttl=64) / Raw(b"\0\0\0\0") / VXLAN(flags=8, vni=5001) / Ether(src=PEER, dst=ALL) / ARP(psrc="10.1.0.9", pdst="10.1.0.8")))]
def tagged(packet, *tags, src=TRUNK_MAC, dst=GATEWAY):
    frame = Ether(src=src, dst=dst)
    for tag in tags: frame = frame / tag
    return frame / packet
tags = [(TRUNK, tagged(IP(src="10.1.0.14", dst="10.20.0.5") / UDP_, Dot1Q(vlan=100, prio=5))), (TRUNK, tagged(IP(src="10.2.0.14", dst="10.2.0.13") / UDP_, Dot1AD(vlan=200), Dot1Q(vlan=5))),
    (TRUNK, tagged(ARP(op=1, hwsrc=TRUNK_MAC, psrc="10.1.0.14", pdst="10.1.0.1"), Dot1Q(vlan=100), dst=ALL)), (TRUNK, tagged(IP(src="10.1.0.14", dst="10.1.0.255") / UDP_, Dot1Q(vlan=0), dst=ALL)),
    (TRUNK, tagged(IP(src="10.1.0.14", dst="10.1.0.11") / UDP_, Dot1Q(vlan=999))), (TRUNK, tagged(IPv6(src="fd00:1::14", dst="fd00:1::11") / PING6, Dot1Q(vlan=100))), (TRUNK, tagged(IP(src="10.2.0.14", dst="10.2.0.255") / UDP_, Dot1AD(vlan=200), Dot1Q(vlan=5), dst=ALL)),
    (FABRIC_IN, tagged(IP(src="10.1.0.77", dst="10.1.0.11") / UDP_, Dot1Q(vlan=300), src=PEER)), (FABRIC_IN, tagged(ARP(op=1, psrc="10.1.0.77", pdst="10.1.0.1"), Dot1Q(vlan=300), src=PEER, dst=ALL))]
translated = [[(B1, routed4("10.21.0.5", UDP_)), (FABRIC_IN, mpls_udp(IP(src="10.21.0.5", dst="10.1.0.99") / UDP(sport=2000, dport=40000) / Raw(b"answer")))],
    [(B1, routed4("10.22.0.5", UDP_)), (B2, Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.1.0.12", dst="10.1.0.11") / UDP(sport=53, dport=1000) / Raw(b"answer"))],
    [(B1, routed4("10.1.0.12", TCP_)), (B2, Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.1.0.12", dst="10.1.0.98") / TCP(sport=8080, dport=1000, flags="A", seq=2, ack=8) / Raw(b"answer"))],
    [(B1, routed4("10.1.0.12", PING)), (B2, Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.1.0.12", dst="10.1.0.97") / ICMP(type=0, id=8, seq=1) / Raw(b"echo echo"))],
    [(B1, routed6("fd00:20::5", TCP_)), (FABRIC_IN, vxlan(to_gateway(IPv6(src="fd00:20::5", dst="fd00:1::99") / TCP(sport=80, dport=40001, flags="A", seq=2, ack=8) / Raw(b"answer"))))],
    [(B1, routed6("fd00:1::12", PING6))], [(B1, routed4("10.20.0.5", UDP_)), (R1, Ether(src=RED1, dst=GATEWAY) / IP(src="10.2.0.13", dst="10.1.0.11") / UDP(sport=2000, dport=1000) / Raw(b"answer"))], [(B1, routed4("10.23.0.5", UDP_))],
    [(B1, Ether(bytes(piece))) for piece in fragment(routed4("10.21.0.5", UDP(sport=1000, dport=2000) / Raw(b"n" * 600)), 200)]]

# Rules of translation: floating IPs, shared addresses, services; their answers, and errors about them.
def from_blue2(packet): return Ether(src=BLUE2, dst=GATEWAY) / packet
def outside(packet): return vxlan(to_gateway(packet), vni=5003)
OUT4, OUT6 = "198.51.100.7", "2001:db8:9::7"
answer = UDP(sport=2000, dport=1000) / Raw(b"answer")
quoted4 = IP(src="203.0.113.5", dst=OUT4, ttl=1) / UDP(sport=1000, dport=2000, chksum=0x1234) / Raw(b"payload")
rules = [[(B1, routed4(OUT4, UDP_)), (FABRIC_IN, outside(IP(src=OUT4, dst="203.0.113.5") / answer)), (FABRIC_IN, outside(IP(src="192.0.2.1", dst="203.0.113.5") / ICMP(type=11) / quoted4)),
        (FABRIC_IN, outside(IP(src="192.0.2.1", dst="203.0.113.5") / ICMP(type=3, code=4, nexthopmtu=576) / quoted4)), (B1, routed4(OUT4, UDP_, ttl=1))],
    [(B1, routed6(OUT6, TCP_)), (FABRIC_IN, outside(IPv6(src=OUT6, dst="2001:db8::5") / TCP(sport=80, dport=1000, flags="A", seq=2, ack=8) / Raw(b"answer"))), (B1, routed6(OUT6, TCP_, hlim=1)),
        (FABRIC_IN, outside(IPv6(src=OUT6, dst="2001:db8::5") / ICMPv6PacketTooBig(mtu=1280) / IPv6(src="2001:db8::5", dst=OUT6) / TCP_))],
    [(B1, routed4(OUT4, PING)), (B1, routed6(OUT6, PING6)), (FABRIC_IN, outside(IP(src=OUT4, dst="203.0.113.5") / ICMP(type=0, id=7, seq=1) / Raw(b"echo echo"))), (FABRIC_IN, outside(IP(src=OUT4, dst="203.0.113.5") / TCP_))],
    [(B2, from_blue2(IP(src="10.1.0.12", dst=OUT4) / UDP(sport=port, dport=2000) / Raw(b"x"))) for port in range(1000, 1006)]
        + [(FABRIC_IN, outside(IP(src=OUT4, dst="203.0.113.9") / UDP(sport=2000, dport=port) / Raw(b"answer"))) for port in (61000, 61001, 61002, 61003, 61500)],
    [(B2, from_blue2(IPv6(src="fd00:1::12", dst=OUT6) / TCP(sport=port, dport=80, flags="S"))) for port in range(1000, 1006)] + [(B2, from_blue2(IPv6(src="fd00:1::12", dst=OUT6) / PING6))],
    [(B2, from_blue2(IP(src="10.1.0.12", dst="203.0.113.5") / UDP_)), (B1, routed4("203.0.113.5", UDP_)), (B1, routed4("203.0.113.9", TCP(sport=1000, dport=61500, flags="S")))],
    [(B1, routed4("10.96.0.1", TCP(sport=port, dport=80, flags="S"))) for port in range(1000, 1008)] + [(B1, routed4("10.96.0.1", UDP(sport=1000, dport=53) / Raw(b"q"))), (B1, routed4("10.96.0.1", TCP(sport=1, dport=81, flags="S")))],
    [(B1, routed6("fd00:96::1", TCP(sport=port, dport=80, flags="S"))) for port in range(1000, 1008)] + [(B2, from_blue2(IPv6(src="fd00:1::12", dst="fd00:96::1") / UDP(sport=1000, dport=53) / Raw(b"q")))],
    [(B1, Ether(bytes(piece))) for piece in fragment(routed4(OUT4, UDP(sport=1000, dport=2000) / Raw(b"n" * 600)), 200)], [(B1, routed4(OUT4, UDP(sport=1, dport=2) / Raw(b"x" * 1600), flags="DF")), (B1, routed4("10.96.0.1", UDP(sport=1, dport=53, chksum=0) / Raw(b"x")))]]

# Policies: what red1, blue2 and the doubly tagged sub-interface are asked and ask; fat flows of the trunk.
def from_red1(packet): return Ether(src=RED1, dst=GATEWAY) / packet
def from_trunk(packet): return Ether(src=TRUNK_MAC, dst=GATEWAY) / packet
def datagram(port, sport=1000): return UDP(sport=sport, dport=port) / Raw(b"asked")
def stream(port, sport=1000, flags="S"): return TCP(sport=sport, dport=port, flags=flags, seq=1)
RED4, RED6, BLUE4, BLUE6 = dict(src="10.2.0.13", dst="10.1.0.12"), dict(src="fd00:2::13", dst="fd00:1::12"), dict(src="10.1.0.12", dst="10.2.0.13"), dict(src="fd00:1::12", dst="fd00:2::13")
policies = [
    # Every service that a rule of `strict` names, from a network it names and from another, and the answer.
    *[[(B2, from_blue2(IP(**BLUE4) / upper)), (FABRIC_IN, vxlan(to_gateway(IP(src="10.20.0.5", dst="10.2.0.13") / upper), vni=5002))]
        for upper in (stream(80), stream(8080), stream(82), datagram(53), datagram(69), datagram(7000), datagram(2000, 7999), datagram(2000), ICMP(type=13), ICMP(type=8, id=3), GRE(proto=0x0800) / IP())],
    *[[(B2, from_blue2(IPv6(**BLUE6) / upper)), (FABRIC_IN, vxlan(to_gateway(IPv6(src="fd00:20::5", dst="fd00:2::13") / upper), outer6, vni=5002))]
        for upper in (stream(80), datagram(53), datagram(7500), ICMPv6EchoRequest(id=3), ICMPv6NIQueryName(data="x"))],
    [(B2, from_blue2(IP(**BLUE4) / stream(80))), (R1, from_red1(IP(**RED4) / stream(1000, 80, "SA"))), (B2, from_blue2(IP(**BLUE4) / stream(80, flags="A"))), (R1, from_red1(IP(**RED4) / stream(7000)))],
    # And of `open`, both ways.
    *[[(R1, from_red1(IP(**RED4) / upper)), (B2, from_blue2(IP(src="10.1.0.12", dst="10.20.0.5") / upper)), (B1, routed4("10.1.0.12", upper))]
        for upper in (datagram(2000), datagram(5000), stream(5001), stream(23), datagram(7000), ICMP(type=17), ICMP(type=8, id=3), GRE(proto=0x0800) / IP())],
    *[[(R1, from_red1(IPv6(**RED6) / upper)), (B2, from_blue2(IPv6(src="fd00:1::12", dst="fd00:20::5") / upper))] for upper in (datagram(2000), datagram(5000), stream(5001), datagram(7000))],
    # More packets of one flow than wait, then others'; and as fragments, of which the later ones come first.
    [(R1, from_red1(IP(**RED4) / datagram(5000)))] * 5 + [(R1, from_red1(IP(**RED4) / datagram(port))) for port in range(5001, 5005)],
    [(R1, Ether(bytes(piece))) for piece in reversed(fragment(from_red1(IP(id=9, **RED4) / UDP(sport=1000, dport=5000) / Raw(b"n" * 600)), 200))],
    [(TRUNK, tagged(IP(src="10.2.0.14", dst="10.2.0.13") / datagram(53), Dot1AD(vlan=200), Dot1Q(vlan=5))), (TRUNK, tagged(IP(src="10.2.0.14", dst="10.20.0.5") / datagram(2000), Dot1AD(vlan=200), Dot1Q(vlan=5)))],
    # One flow of many: names by who asks, the web of all, pings of all, SCTP whoever answers.
    [(B1, routed4("10.1.0.14", datagram(53, port))) for port in range(1000, 1004)] + [(TRUNK, from_trunk(IP(src="10.1.0.14", dst="10.1.0.11") / datagram(1000, 53)))],
    [(B1, routed4("10.1.0.14", stream(80, port), src=f"10.1.0.{port % 250}")) for port in range(1000, 1004)] + [(TRUNK, from_trunk(IP(src="10.1.0.14", dst="10.1.0.11") / stream(1000, 80, "SA")))],
    [(B1, routed6("fd00:1::14", stream(80, port))) for port in range(1000, 1004)] + [(B1, routed6("fd00:1::14", datagram(53, port))) for port in range(1000, 1004)],
    [(B1, routed4("10.1.0.14", ICMP(type=8, id=3))), (TRUNK, from_trunk(IP(src="10.1.0.14", dst="10.1.0.11") / ICMP(type=0, id=3))), (TRUNK, from_trunk(IP(src="10.1.0.14", dst="10.20.0.5", proto=132) / Raw(struct.pack(">HHII", 1, 2, 0, 0))))],
]

# What workloads ask of the network. An input of `service` is a frame; of `dhcp` and `dhcpv6` a message; what steers is behind it: which workload asks.
DISCOVER = lambda *options, **fields: BOOTP(chaddr=b"\2\0\0\0\1\1", xid=0x3903F326, **fields) / DHCP(options=[*options, "end"])
dhcp = [
    DISCOVER(("message-type", "discover")), DISCOVER(("message-type", "discover"), ("rapid_commit", b"")), DISCOVER(("message-type", "discover"), flags=0x8000),
    # RFC 2131 section 4.3.2: selecting, init-reboot, renewing; of another server, of another address.
    DISCOVER(("message-type", "request"), ("server_id", "10.1.0.1"), ("requested_addr", "10.1.0.11")), DISCOVER(("message-type", "request"), ("requested_addr", "10.1.0.99")),
    DISCOVER(("message-type", "request"), ciaddr="10.1.0.11"), DISCOVER(("message-type", "request"), ("server_id", "10.1.0.2"), ("requested_addr", "10.1.0.11")),
    DISCOVER(("message-type", "inform"), ("client_id", b"\1\2\0\0\0\1\1"), ciaddr="10.1.0.11"), DISCOVER(("message-type", "release"), ("server_id", "10.1.0.1"), ciaddr="10.1.0.11"),
    DISCOVER(("message-type", "decline"), ("server_id", "10.1.0.1"), ("requested_addr", "10.1.0.11")), DISCOVER(("message-type", "ack"), op=2),
    DISCOVER(("message-type", "discover"), ("param_req_list", [1, 121, 249, 3, 6, 26, 15, 12, 28, 42, 119]), ("max_dhcp_size", 1500), ("client_id", b"x" * 200)), DISCOVER(("message-type", "discover"), (57, b"\1\5\xdc")),
    DISCOVER(("message-type", "request"), ("requested_addr", "10.1.0.11"), ciaddr="224.0.0.1"),
    # Options in the fields of names (RFC 2132 section 9.3), and one in two parts (RFC 3396).
    BOOTP(chaddr=b"\2\0\0\0\1\1", sname=b"\x32\4\x0a\1\0\x0b\xff", file=b"\x35\1\3\xff") / DHCP(options=[(52, b"\3"), "end"]),
    DISCOVER(("message-type", "discover"), (61, b"\1ab"), (61, b"cd")),
]
CLIENT6, SERVER6 = DHCP6OptClientId(duid=DUID_LL(lladdr=BLUE1)), DHCP6OptServerId(duid=DUID_LL(lladdr=GATEWAY))
def lease6(*addresses): return DHCP6OptIA_NA(iaid=7, T1=0, T2=0, ianaopts=[DHCP6OptIAAddress(addr=address) for address in addresses])
ORO = DHCP6OptOptReq(reqopts=[23, 24, 32, 56])
dhcpv6 = [DHCP6_Solicit(trid=1) / CLIENT6 / lease6() / ORO, DHCP6_Solicit(trid=1) / CLIENT6 / lease6() / DHCP6OptRapidCommit(), DHCP6_Request(trid=2) / CLIENT6 / SERVER6 / lease6("fd00:1::11") / ORO,
    DHCP6_Renew(trid=3) / CLIENT6 / SERVER6 / lease6("fd00:1::99"), DHCP6_Rebind(trid=4) / CLIENT6 / lease6("fd00:1::11"), DHCP6_Confirm(trid=5) / CLIENT6 / lease6("fd00:9::1"),
    DHCP6_Release(trid=6) / CLIENT6 / SERVER6 / lease6("fd00:1::11"), DHCP6_Decline(trid=7) / CLIENT6 / SERVER6 / lease6("fd00:1::11"), DHCP6_InfoRequest(trid=8) / ORO,
    DHCP6_Solicit(trid=9) / CLIENT6 / lease6() / DHCP6OptIA_TA(iaid=8) / DHCP6OptIA_PD(iaid=9), DHCP6_Solicit(trid=10) / CLIENT6 / Raw(b"".join(bytes(lease6()) for _ in range(4))),
    DHCP6_Reply(trid=11) / CLIENT6 / SERVER6,
    # More than an answer has room for: associations, and an identifier.
    DHCP6_Solicit(trid=12) / CLIENT6 / Raw(b"".join(bytes(DHCP6OptIA_TA(iaid=number)) for number in range(60))) / ORO, DHCP6_Solicit(trid=13) / DHCP6OptClientId(duid=DUID_UUID(uuid=bytes(16))) / lease6(),
    DHCP6_Solicit(trid=14) / Raw(b"\0\1\4\0" + bytes(1024)) / lease6() / ORO]

# Questions and a name server's answers: how, and both with their lengths.
def asked(name, kind="A", **fields): return DNS(id=0x1234, rd=1, qd=DNSQR(qname=name, qtype=kind), **fields)
def chained(records): return functools.reduce(lambda a, b: a / b, records) if records else None
def told(name, kind="A", answers=(), authorities=(), **fields): return DNS(id=0x1234, qr=1, rd=1, ra=1, qd=DNSQR(qname=name, qtype=kind), an=chained(answers), ns=chained(authorities), ancount=len(answers), nscount=len(authorities), **fields)
def exchange(query, answer=b"", how=1): return bytes([how]) + b"".join(struct.pack(">H", len(part)) + part for part in (bytes(query), bytes(answer)))
A_RECORD = DNSRR(rrname="www.example.org", type="A", ttl=300, rdata="192.0.2.1")
SOA = DNSRRSOA(rrname="example.org", ttl=300, mname="ns.example.org", rname="root.example.org", serial=1, refresh=1, retry=1, expire=1, minimum=60)
WWW = exchange(asked("www.example.org"), told("www.example.org", answers=[A_RECORD]))
dns = [exchange(asked("web.blue.vrouter.local")), exchange(asked("many", "AAAA")), exchange(asked("11.0.1.10.in-addr.arpa", "PTR")), exchange(asked("gateway.blue.vrouter.local", "ALL")),
    exchange(asked("1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa", "PTR")), exchange(asked("nobody.blue.vrouter.local")), exchange(asked("blue.vrouter.local", "SOA")),
    exchange(asked("localhost", "AAAA")), exchange(asked("x.onion")), WWW, WWW + exchange(asked("WWW.Example.ORG"), how=0x81), WWW * 2 + exchange(asked("www.example.org"), how=0xF9),
    exchange(asked("no.example.org"), told("no.example.org", rcode=3, authorities=[SOA])) * 2, exchange(asked("www.example.org", ar=DNSRROPT(rclass=1232, z=0x8000)), told("www.example.org", answers=[A_RECORD] * 100)),
    exchange(asked("www.example.org"), told("www.example.org", answers=[DNSRR(rrname="www.example.org", type="TXT", rdata="x" * 200)] * 3)),
    exchange(asked("a.example.org"), told("a.example.org", answers=[DNSRR(rrname="a.example.org", type="CNAME", rdata="www.example.org"), A_RECORD])),
    exchange(asked("www.example.org", ar=DNSRROPT(version=1))), exchange(asked("www.example.org", "AXFR")), exchange(DNS(id=1, opcode=5)), exchange(b"\0\1\1\0" + bytes(8)),
    # A name that is a pointer into the header, one that points at itself, a dot within a label.
    exchange(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\xc0\2\0\1\0\3"), exchange(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"), exchange(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4web.\0\0\1\0\1"),
    b"".join(exchange(asked(f"{name}.example.org"), told(f"{name}.example.org", answers=[DNSRR(rrname=f"{name}.example.org", type="A", ttl=60, rdata="192.0.2.1")])) for name in "abcdef")]
# RFC 9112 sections 2.1, 3.2, 6.3; and what has to be refused.
http = [b"GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n", b"GET /openstack/latest/meta_data.json?x=1 HTTP/1.0\n\n",
    b"PUT /latest/api/token HTTP/1.1\r\nHost: 169.254.169.254\r\nContent-Length: 5\r\nX-Forwarded-For: 1.2.3.4\r\nX_Instance_ID: me\r\n\r\nhello and more",
    b"POST / HTTP/1.1\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: +2\r\n\r\nab", b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", b"GET / HTTP/1.1\r\nA:\t \xff\xfe \t\r\n\r\n"]
# An input of `connection`: which service and how long segments are, then steps: what, two octets that vary it, two of length, data.
DATA, ACKNOWLEDGE, FIN, WAIT, ANSWER, NO_ANSWER, RESET, ANYTHING = range(8)
def step(what, number=4000, data=b""): return bytes([what]) + struct.pack(">HH", number, len(data)) + bytes(data)
def framed(*messages): return b"".join(struct.pack(">H", len(bytes(message))) + bytes(message) for message in messages)
question = bytes(asked("www.example.org"))
conversations = [b"\0" + step(DATA, data=framed(question)) + step(ANSWER, data=b"a" * 300) + step(ACKNOWLEDGE) + step(FIN) + step(ACKNOWLEDGE),
    b"\2" + step(DATA, data=framed(question)[:9]) + step(DATA, data=framed(question)[9:]) + step(ANSWER, data=b"a" * 1500) + step(ACKNOWLEDGE, 100) + step(WAIT, 1000) + step(ACKNOWLEDGE) + step(FIN),
    b"\4" + step(DATA, 50, framed(*[question] * 6)) + step(ANSWER, data=b"a") * 3 + step(ACKNOWLEDGE, 0x8010) + step(WAIT, 60000) * 2, b"\0" + step(WAIT, 1000) * 7, b"\0" + step(DATA, data=b"\xff\xff"),
    b"\0" + step(DATA, data=framed(question)) + step(RESET, 1) + step(NO_ANSWER) + step(FIN) + step(ACKNOWLEDGE), b"\0" + step(ANYTHING, 3, bytes(IP() / TCP(flags="A", window=100, options=[("MSS", 64)]) / Raw(framed(question)))[20:]) + step(RESET, 0),
    b"\1" + step(DATA, data=http[0]) + step(ANSWER, data=b"h" * 3000) + step(ACKNOWLEDGE) * 3 + step(FIN) + step(ACKNOWLEDGE), b"\3" + step(DATA, data=http[2][:40]) + step(DATA, data=http[2][40:]) + step(NO_ANSWER) + step(ACKNOWLEDGE),
    b"\1" + step(DATA, data=http[5]) + step(FIN) + step(ANSWER, data=b"no"), b"\1" + step(WAIT, 20000) + step(DATA, data=b"late")]
SOLICITATION = IPv6(src="fe80::ff:fe00:101", dst="ff02::2", hlim=255) / ICMPv6ND_RS()
service = [bridged("33:33:00:00:00:02", SOLICITATION / ICMPv6NDOptSrcLLAddr(lladdr=BLUE1)), bridged("33:33:00:00:00:02", IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS()),
    bridged("33:33:00:00:00:02", IPv6(src="ff02::1", dst="ff02::2", hlim=255) / ICMPv6ND_RS()), bridged(GATEWAY, IP(src="10.1.0.11", dst="10.1.0.1") / UDP(sport=1000, dport=53) / asked("web.blue.vrouter.local")),
    bridged(GATEWAY, IPv6(src="fd00:1::11", dst="fd00:1::1") / UDP(sport=1000, dport=53) / asked("many.blue.vrouter.local", "AAAA")), bridged(GATEWAY, IP(src="10.1.0.11", dst="10.1.0.1") / TCP(sport=1000, dport=53, flags="S", options=[("MSS", 1460)])),
    bridged(GATEWAY, IPv6(src="fd00:1::11", dst="fd00:1::1") / TCP(sport=1000, dport=53, flags="FA", options=[("NOP", None), ("SAckOK", b"")]) / Raw(b"x")), bridged(ALL, IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / dhcp[0]),
    bridged("33:33:00:01:00:02", IPv6(src="fe80::ff:fe00:101", dst="ff02::1:2") / UDP(sport=546, dport=547) / dhcpv6[0]), bridged(GATEWAY, IP(src="10.1.0.11", dst="10.1.0.1", options=[IPOption_NOP()]) / UDP(sport=1000, dport=53, chksum=0) / asked("x"))]

NETWORK = """kind: VirtualNetwork
metadata: {name: blue}
spec:
  subnets: [{prefix: 10.1.0.0/24, gateway: 10.1.0.254}, {prefix: "fd00:1::/64"}]
  vni: 5001
  mtu: 1450
  floodUnknownUnicast: true
"""
NODE, PORT = "kind: ComputeNode\nmetadata: {name: node1}\nspec: {address: 10.0.0.11}\n", 'kind: Port\nmetadata: {name: "blue:a"}\nspec: {network: blue, node: node1, mac: 02:00:00:00:01:0A, addresses: [10.1.0.10, "fd00:1::10"], interface: tap-blue-a}\n'
ROUTER = """workers: 1
api: none
flows: {capacity: 2048}
fragments: {capacity: 16, outOfOrder: drop}
objects:
  ports: [{name: a, loopback: }, {name: b, pcap: {interface: eth0}, mtu: 1500}, {name: c, dpdk: {device: "net_tap0,iface=x"}}]
  vrfs: [{id: 1, name: blue, floodsUnknownUnicast: true, learnsMACs: true}]
  forwardingClasses: [{id: 1, dscp: 46, trafficClass: 5}]
  qosMaps: [{id: 1, dscp: [{from: 0, class: 1}]}]
  vifs:
    - {id: 0, name: f, kind: physical, port: a, mac: "02:00:00:00:0f:01", addresses: [10.0.0.11]}
    - {id: 3, name: w, kind: virtual, port: b, vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.1.0.1], keepsFlows: true, qosMap: 1}
    - {id: 4, name: v, kind: vlan, vrf: 1, mac: "00:00:5e:00:01:00", vlan: {parent: 3, id: 100}}
  nextHops:
    - {id: 1, encap: {vif: 3, destination: "02:00:00:00:01:02"}}
    - {id: 2, encap: {vif: 3}}
    - {id: 3, tunnel: {encapsulation: vxlan, source: 10.0.0.11, destination: 10.0.0.12, vif: 0, destinationMAC: "02:00:00:00:0f:02", sourceMAC: "02:00:00:00:0f:01"}}
    - {id: 4, ecmp: [{nextHop: 3, label: 5001}, {nextHop: 1}]}
    - {id: 5, multicast: {vrf: 1, local: [2], evpn: [{nextHop: 3, label: 5001}]}}
    - {id: 6, vrf: {id: 1, bridges: true}}
    - {id: 7, indirect: 4}
  routes: [{vrf: 1, prefix: 10.1.0.12/32, nextHop: 1, proxies: true}, {vrf: 1, prefix: 10.0.0.0/8, nextHop: 7}]
  bridge: [{vrf: 1, mac: "ff:ff:ff:ff:ff:ff", nextHop: 5}, {vrf: 1, mac: "02:00:00:00:01:02", nextHop: 2}]
  labels: [{label: 16, nextHop: 1}]
  vnis: [{vni: 5001, nextHop: 6}]
"""
# ApplyRequests in protobuf's text form.
MAC, GATEWAY_MAC = r'"\002\000\000\000\001\002"', r'"\000\000\136\000\001\000"'
A, B = r'"\012\001\000\013"', r'"\012\001\000\014"'
VIFS = f"""operations {{ upsert {{ port {{ name: "a" loopback {{}} }} }} }} operations {{ upsert {{ port {{ name: "b" pcap {{ interface: "eth0" }} mtu: 1500 }} }} }}
operations {{ upsert {{ vrf {{ id: 1 name: "blue" floods_unknown_unicast: true learns_macs: true mac_limit: 5 }} }} }}
operations {{ upsert {{ vif {{ id: 0 name: "f" kind: VIF_KIND_PHYSICAL port: "a" mac: {MAC} addresses: {A} }} }} }}
operations {{ upsert {{ vif {{ id: 3 name: "w" kind: VIF_KIND_VIRTUAL port: "b" vrf: 1 mac: {GATEWAY_MAC} addresses: {A} keeps_flows: true bridges: true cookie: 7 }} }} }}
operations {{ upsert {{ vif {{ id: 4 name: "v" kind: VIF_KIND_VLAN vrf: 1 mac: {GATEWAY_MAC} vlan {{ parent: 3 id: 100 inner_id: 5 }} }} }} }}
"""
HOPS = f"""operations {{ upsert {{ next_hop {{ id: 1 encap {{ vif: 3 destination_mac: {MAC} }} }} }} }} operations {{ upsert {{ next_hop {{ id: 2 encap {{ vif: 3 }} }} }} }}
operations {{ upsert {{ next_hop {{ id: 3 tunnel {{ encapsulation: ENCAPSULATION_VXLAN source: {A} destination: {B} vif: 0 destination_mac: {MAC} source_mac: {MAC} }} }} }} }}
operations {{ upsert {{ next_hop {{ id: 4 ecmp {{ members {{ next_hop: 3 label: 5001 }} members {{ next_hop: 1 }} hash_fields: HASH_FIELD_SOURCE }} }} }} }}
operations {{ upsert {{ next_hop {{ id: 5 multicast {{ vrf: 1 local: 2 evpn {{ next_hop: 3 label: 5001 }} vni: 5001 }} }} }} }}
operations {{ upsert {{ next_hop {{ id: 6 vrf {{ vrf: 1 bridges: true }} }} }} }} operations {{ upsert {{ next_hop {{ id: 7 indirect {{ next_hop: 4 }} }} }} }} operations {{ upsert {{ next_hop {{ id: 8 receive {{ vif: 3 }} }} }} }}
"""
REST = f"""operations {{ upsert {{ route {{ vrf: 1 address: {A} prefix_length: 32 next_hop: 1 proxies: true mac: {MAC} }} }} }} operations {{ upsert {{ route {{ vrf: 1 address: "\\012\\000\\000\\000" prefix_length: 8 next_hop: 7 label: 5001 }} }} }}
operations {{ upsert {{ bridge_entry {{ vrf: 1 mac: {MAC} next_hop: 2 }} }} }} operations {{ upsert {{ label {{ label: 16 next_hop: 1 }} }} }} operations {{ upsert {{ vni {{ vni: 5001 next_hop: 6 }} }} }}
operations {{ upsert {{ flow {{ key {{ vrf: 1 source: {A} destination: {B} protocol: 17 source_port: 1000 destination_port: 2000 }} action: FLOW_ACTION_NAT translation {{ source: {B} source_port: 9 }} }} }} }}
operations {{ upsert {{ forwarding_class {{ id: 1 dscp: 46 traffic_class: 5 }} }} }} operations {{ upsert {{ qos_map {{ id: 1 dscp {{ key: 0 value: 1 }} }} }} }}
operations {{ upsert {{ mirror {{ id: 1 sources {{ vif: 3 direction: DIRECTION_BOTH }} vxlan {{ next_hop: 3 vni: 9 }} }} }} }}
"""
DELETES = f"""operations {{ delete {{ route {{ vrf: 1 address: {A} prefix_length: 32 }} }} }} operations {{ delete {{ next_hop: 1 }} }} operations {{ delete {{ vif: 3 }} }} operations {{ delete {{ port: "b" }} }} operations {{ delete {{ vrf: 1 }} }}"""

def protobuf(kind, text):
    protos = pathlib.Path(__file__).resolve().parent.parent.parent / "Sources/DataplaneAPI/Protos"
    return subprocess.run(["protoc", f"-I{protos}", f"--encode=dataplane.v1.{kind}", "dataplane/v1/dataplane.proto"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout

def record(how, frame):
    frame = bytes(frame)
    return bytes([how]) + struct.pack(">H", len(frame)) + frame

def write(target, inputs):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, octets in enumerate(inputs): (folder / f"{number:03}").write_bytes(bytes(octets))

def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    small = lambda frames: [bytes(frame) for frame in frames if len(bytes(frame)) < 400]
    inputs = []
    for number, frame in enumerate(workload): inputs.append(bytes([number & 3]) + record(B1 | (FIX if number % 2 else 0), frame))
    for number, frame in enumerate(fabric): inputs.append(bytes([number & 3]) + record(FABRIC_IN | (FIX if number % 2 else 0), frame))
    for number, frame in enumerate(host): inputs.append(bytes([1 | number & 2]) + record(HOST, frame))
    inputs.append(b"\0" + b"".join(record(B1, piece) for piece in fragments))
    inputs.append(b"\0" + b"".join(record((B1, B2, B1, B1, B2)[number] | FIX, packet) for number, packet in enumerate(connection)))
    inputs.append(b"\0" + record(RECEIVE, workload[0]) + record(TRANSMIT, workload[1]))
    inputs.append(b"\0" + record(R1, Ether(src=RED1, dst=GATEWAY) / IP(src="10.2.0.13", dst="10.1.0.11") / UDP_) + record(R1, Ether(src=RED1, dst=GATEWAY) / IPv6(src="fd00:2::13", dst="fd00:1::11") / UDP_))
    inputs.append(b"\0" + record(B2, Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.1.0.12", dst="10.20.0.5") / UDP_) + record(B2, Ether(src=BLUE2, dst=GATEWAY) / IP(src="10.9.9.9", dst="10.20.0.5") / UDP_))
    for number, (where, frame) in enumerate(flooded + tags): inputs.append(bytes([number & 3]) + record(where | (FIX if number % 2 else 0), frame))
    for number, packets in enumerate(translated + rules): inputs.append(bytes([number & 3]) + b"".join(record(where, packet) for where, packet in packets))
    for number, packets in enumerate(policies):
        # Of each what the control program may say: by turns.
        for router in (number % 4 | (1 + number % 7) << 2, number % 4 ^ 2): inputs.append(bytes([router]) + b"".join(record(where | FIX, packet) for where, packet in packets))
    write("pipeline", inputs)
    write("service", [bytes(frame) + bytes([number & 3]) for number, frame in enumerate(service)])
    write("dhcp", [bytes(message) + bytes([number & 11]) for number, message in enumerate(dhcp)])
    write("dhcpv6", [bytes(message) + bytes([number & 3]) for number, message in enumerate(dhcpv6)])
    write("dns", dns)
    write("http", http)
    write("connection", conversations)
    write("objects", [text.encode() for text in (NETWORK, NODE, PORT, "---\n".join((NETWORK, NODE, PORT)), '{"kind":"ComputeNode","metadata":{"name":"n","uid":"u","generation":3},"spec":{"address":"10.0.0.300"}}',
        '{"kind":"VirtualNetwork","metadata":{"name":"red"},"spec":{"subnets":[{"prefix":"10.2.0.0/31"}],"encapsulation":"mplsOverUDP"}}', "a: &x 1\nb: *x\n")])
    write("vrouteryaml", [ROUTER.encode(), b"workers: [0, 2]\nidle: poll\ndpdk: {eal: [--no-huge, -m, '256', -l, '0']}\nbuffers: {count: 4096, size: 10240}\n", b"api: {socket: /x}\ncapacities: {nextHops: 100, vifs: 10, vrfs: 4, routes: 7, dropLog: 0}\n"])
    pages = protobuf("ReadRequest", "table: TABLE_ROUTE vrf: 1 family: 4 page_size: 1")
    requests = [protobuf("ApplyRequest", text) for text in (VIFS, VIFS + HOPS, VIFS + HOPS + REST, VIFS + HOPS + REST + DELETES, DELETES)]
    write("api", [bytes([2 * number]) + request for number, request in enumerate(requests)] + [bytes([len(requests[0]) | 1]) + requests[0] + pages])
    frames = small(workload + fabric + host)
    write("ethernet", [frames[0], frames[10], bytes(Ether() / Dot1Q(vlan=5, prio=3) / Dot1Q(vlan=6) / IP()), bytes(Dot1Q(vlan=9)) + b"\x08\x00"])
    arps = [ARP(op=1, hwsrc=BLUE1, psrc="10.1.0.11", pdst="10.1.0.12"), ARP(op=2, hwsrc=BLUE1, psrc="10.1.0.11", pdst="10.1.0.11"), ARP(op=1, psrc="0.0.0.0", pdst="10.1.0.1")]
    write("arp", [bytes(arp) for arp in arps] + [bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / arp) for arp in arps] + [bytes(Ether() / Dot1Q(vlan=5) / arps[0])])
    write("ipv4", [frame[14:] for frame in frames if frame[12:14] == b"\x08\x00"][:24] + [bytes(IP(options=[IPOption_NOP(), IPOption_LSRR(routers=["1.2.3.4"]), IPOption_Router_Alert()]) / UDP_)])
    write("ipv6", [frame[14:] for frame in frames if frame[12:14] == b"\x86\xdd"][:24] + [bytes(IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=["::5"]) / IPv6ExtHdrFragment(offset=0, m=1) / UDP_)])
    write("icmpv4", [bytes(routed4("10.1.0.1", PING)) + b"\0\xff\0", bytes(PING), bytes(routed4("10.1.0.1", UDP_)) + b"\1\2\3", bytes(routed4("10.1.0.1", ICMP(type=11) / IP() / UDP())) + b"\2\2\2", bytes(Ether() / Dot1Q(vlan=5) / IP(src="10.1.0.11", dst="10.1.0.1") / PING) + b"\1\xff\1"])
    write("icmpv6", [bytes(routed6("fd00:1::1", PING6)) + b"\0\xff\0", bytes(routed6("fd00:1::1", PING6))[54:], bytes(routed6("fd00:1::1", UDP_)) + b"\1\2\3", bytes(routed6("fd00:1::1", IPv6ExtHdrHopByHop() / UDP_)) + b"\2\2\3"])
    nd = [packet for packet in workload + fabric if ICMPv6ND_NS in packet or ICMPv6ND_NA in packet or ICMPv6ND_RS in packet]
    write("nd", [bytes(packet) + b"\xff" for packet in nd] + [bytes(packet)[54:] for packet in nd])
    write("tcp", [bytes(IP() / SYN)[20:], bytes(IP() / TCP_)[20:], bytes(IP() / TCP(flags="FPU", options=[("SAckOK", b""), ("NOP", None), ("NOP", None), ("MSS", 1460)]))[20:], b"".join(bytes(packet)[34:54] for packet in connection)])
    write("udp", [bytes(IP() / UDP_)[20:], bytes(UDP(len=8)), bytes(UDP(len=0))])
    write("gre", [bytes(GRE(proto=0x8847)), bytes(GRE(proto=0x0800, key_present=1, key=5, chksum_present=1, seqnum_present=1, seqence_number=1) / IP())])
    write("vxlan", [bytes(VXLAN(flags=8, vni=5001) / Ether() / IP()), bytes(VXLAN(flags=0, vni=1))])
    write("mpls", [bytes(MPLS(label=16, s=1, ttl=64)), bytes(MPLS(label=0, s=0, ttl=1) / MPLS(label=1048575, s=1))])
    def unfinished(packet, at):
        frame = bytearray(bytes(packet))
        v4 = frame[12:14] == b"\x08\x00"
        proto, addresses = (frame[23], frame[26:34]) if v4 else (frame[20], frame[22:54])
        begin = 34 if v4 else 54
        words = bytes(addresses) + struct.pack(">HH", proto, len(frame) - begin)
        total = sum(struct.unpack(f">{len(words) // 2}H", words))
        while total > 0xFFFF: total = (total & 0xFFFF) + (total >> 16)
        frame[begin + at:begin + at + 2] = struct.pack(">H", total)
        return bytes(frame)
    write("offload", [unfinished(routed4("10.20.0.5", TCP_), 16), unfinished(routed4("10.20.0.5", UDP_), 6), unfinished(routed6("fd00:20::5", TCP_), 16), unfinished(routed6("fd00:20::5", UDP_), 6), bytes(routed4("10.20.0.5", UDP_))])
    write("fragmenter", [bytes(routed4("10.20.0.5", UDP(sport=1, dport=2) / Raw(b"z" * 300))) + b"\x64\0", bytes(routed4("10.20.0.5", UDP(sport=1, dport=2) / Raw(b"z" * 200), options=[IPOption_NOP(), IPOption_Router_Alert()])) + b"\x48\0",
        bytes(routed4("10.20.0.5", Raw(b"z" * 160), flags="MF", frag=8, proto=17)) + b"\x50\0", bytes(Ether() / Dot1Q(vlan=5) / IP() / Raw(b"z" * 200)) + b"\x50\0"])
    write("segmenter", [bytes(routed4("10.20.0.5", TCP(flags="FPA", seq=0xFFFFFFF0) / Raw(b"z" * 300))) + b"\x64\0", bytes(routed6("fd00:20::5", TCP(flags="PAU", urgptr=100) / Raw(b"z" * 300))) + b"\x80\0",
        bytes(routed6("fd00:20::5", IPv6ExtHdrDestOpt() / TCP(flags="A") / Raw(b"z" * 300))) + b"\x80\0"])
    write("mssclamp", [bytes(routed4("10.20.0.5", SYN)) + b"\xb4\5", bytes(routed6("fd00:20::5", SYN)) + b"\xb4\5", bytes(routed4("10.20.0.5", TCP(flags="SA", options=[("MSS", 1460)]))) + b"\0\2"])
    stream = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='a@b' version='1.0'>"
    stanzas = [b"<iq type='set' id='1' from='a@b/c'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='1/1/blue/10.1.0.4/32'><item id='x'><entry/></item></publish></pubsub></iq>",
        b"<iq type='set' id='2'><pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='blue' jid='a@b/c'/><options><instance-id>1</instance-id></options></pubsub></iq>",
        b"<message from='c@d'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='0/0/EndOfRib'><item id='end-of-rib'/><retract id='y'/></items></event></message>",
        b"<presence type='unavailable'/>\n<iq type='result' id='1'/>", b"<iq type='error' id='3'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no &amp; &#x41;</text></error></iq>"]
    write("xmpp", [bytes([size]) + stream + stanza + b"</stream:stream>" for size, stanza in zip((255, 3, 0, 16, 60), stanzas)] + [b"\x10" + stream + b"".join(stanzas)])

main()
