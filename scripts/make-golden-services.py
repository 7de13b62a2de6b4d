#!/usr/bin/env python3
"""Writes what workloads ask of the network, and the answers, as scapy, an independent implementation, builds them.

    /usr/bin/python3 scripts/make-golden-services.py dataplane > Tests/DataplaneTests/Pipeline/GoldenServices.swift
    /usr/bin/python3 scripts/make-golden-services.py agent > Tests/AgentTests/Services/GoldenServices.swift
"""
import sys

from scapy.all import (BOOTP, DHCP, DNS, DNSQR, IP, TCP, UDP, DHCP6_Solicit, DHCP6OptClientId, DHCP6OptElapsedTime, DHCP6OptIA_NA, DHCP6OptOptReq,
                       DUID_LLT, Ether, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6)

A, GATEWAY, ALL = "02:00:00:00:01:11", "00:00:5e:00:01:00", "ff:ff:ff:ff:ff:ff"
LINK_LOCAL, ROUTER = "fe80::ff:fe00:111", "fe80::200:5eff:fe00:100"
packets = {}

query = DNS(id=0x1234, rd=1, qd=DNSQR(qname="blue3.blue.vrouter.local", qtype="A"))
packets["dnsQuery"] = Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.1.0.1", id=1) / UDP(sport=40000, dport=53) / query
packets["routerSolicitation"] = (Ether(dst="33:33:00:00:00:02", src=A) / IPv6(src=LINK_LOCAL, dst="ff02::2", hlim=255) /
                                 ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=A))
duid = DUID_LLT(timeval=1000, lladdr=A)
packets["solicit"] = (Ether(dst="33:33:00:01:00:02", src=A) / IPv6(src=LINK_LOCAL, dst="ff02::1:2", hlim=1) / UDP(sport=546, dport=547) /
                      DHCP6_Solicit(trid=0x010203) / DHCP6OptClientId(duid=duid) / DHCP6OptOptReq(reqopts=[23, 24]) / DHCP6OptElapsedTime() /
                      DHCP6OptIA_NA(iaid=7))

if sys.argv[1] == "dataplane":
    discover = BOOTP(chaddr=bytes.fromhex(A.replace(":", "")), xid=7) / DHCP(options=[("message-type", "discover"), "end"])
    packets["discover"] = Ether(dst=ALL, src=A) / IP(src="0.0.0.0", dst="255.255.255.255", id=1) / UDP(sport=68, dport=67) / discover
    packets["fromNowhere"] = Ether(dst=ALL, src=A) / IP(src="0.0.0.0", dst="255.255.255.255", id=1) / UDP(sport=68, dport=69) / discover
    renewal = BOOTP(chaddr=bytes.fromhex(A.replace(":", "")), ciaddr="10.1.0.11", xid=8) / DHCP(options=[("message-type", "request"), "end"])
    packets["renewal"] = Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.1.0.1", id=2) / UDP(sport=68, dport=67) / renewal
    packets["dnsOverTCP"] = Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.1.0.1", id=3) / TCP(sport=40001, dport=53, flags="S")
    packets["dnsQuery6"] = Ether(dst=GATEWAY, src=A) / IPv6(src="fd00:1::11", dst="fd00:1::1") / UDP(sport=40000, dport=53) / query
    packets["toNobody"] = Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.1.0.1", id=4) / UDP(sport=40000, dport=54) / query
    packets["routerWanted"] = (Ether(dst="33:33:ff:00:01:00", src=A) / IPv6(src=LINK_LOCAL, dst="ff02::1:ff00:100", hlim=255) /
                               ICMPv6ND_NS(tgt=ROUTER) / ICMPv6NDOptSrcLLAddr(lladdr=A))
    packets["routerHere"] = (Ether(dst=A, src=GATEWAY) / IPv6(src=ROUTER, dst=LINK_LOCAL, hlim=255) /
                             ICMPv6ND_NA(R=1, S=1, O=1, tgt=ROUTER) / ICMPv6NDOptDstLLAddr(lladdr=GATEWAY))

print("// swift-format-ignore-file\n// Made by scripts/make-golden-services.py with scapy. Do not edit.\n")
print("enum GoldenServices {")
for name, packet in packets.items():
    octets = bytes(packet).hex()
    print(f"    static let {name} = hex(")
    lines = [octets[at:at + 120] for at in range(0, len(octets), 120)]
    print(" +\n".join(f'        "{line}"' for line in lines) + ")")
print("}")
