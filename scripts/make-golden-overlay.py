#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/Pipeline/GoldenOverlay.swift: packets of overlays over IPv6, built by scapy, for the pipeline's tests.

    /usr/bin/python3 scripts/make-golden-overlay.py > Tests/DataplaneTests/Pipeline/GoldenOverlay.swift
"""
import golden
from scapy.all import ICMP, IP, TCP, UDP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPv6, Raw
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

GATEWAY = "00:00:5e:00:01:00"
A, B = "02:00:00:00:01:11", "02:00:00:00:01:13"
FABRIC, PEER, ROUTER = "02:00:00:00:0f:01", "02:00:00:00:0f:02", "02:00:00:00:0f:99"
US, THEM = "fd00::11", "fd00::12"
packets = {}
echo = Raw(bytes(range(48)))


def out6(payload, tc=0):
    """Flow label 1 and source port 49152 stand for what comes from the hash."""
    return Ether(dst=PEER, src=FABRIC) / IPv6(src=US, dst=THEM, hlim=64, fl=1, tc=tc) / payload


def in6(payload, tc=0, src=THEM):
    return Ether(dst=FABRIC, src=PEER) / IPv6(src=src, dst=US, hlim=64, fl=0x12345, tc=tc) / payload


def udp(port, chksum=0):
    return UDP(sport=49152, dport=port, chksum=chksum)


routed = lambda ttl, tos=0: IP(src="10.1.0.11", dst="10.6.0.9", id=3, ttl=ttl, tos=tos) / UDP(sport=1000, dport=2000) / echo
packets["routed"] = Ether(dst=GATEWAY, src=A) / routed(64, 0xB9)
packets["routedInVXLAN"] = out6(udp(4789) / VXLAN(flags=8, vni=5006) / Ether(dst=ROUTER, src=GATEWAY) / routed(63, 0xB9), tc=0xB9)
packets["routedInMPLSoUDP"] = out6(udp(6635) / MPLS(label=88, s=1, ttl=64) / routed(63, 0xB9), tc=0xB9)
packets["routedInMPLSoGRE"] = out6(GRE(proto=0x8847) / MPLS(label=88, s=1, ttl=64) / routed(63, 0xB9), tc=0xB9)
packets["bridged"] = Ether(dst="02:00:00:00:01:66", src=A) / IPv6(src="fd00:1::11", dst="fd00:1::66", tc=2) / ICMPv6EchoRequest(id=7, seq=1, data=bytes(48))
packets["bridgedInVXLAN"] = out6(udp(4789) / VXLAN(flags=8, vni=5001) / packets["bridged"], tc=2)

back = lambda tos=0: IP(src="10.6.0.9", dst="10.1.0.11", id=4, ttl=60, tos=tos) / UDP(sport=2000, dport=1000) / echo
packets["backDelivered"] = Ether(dst=A, src=GATEWAY) / back()
packets["backInVXLAN"] = in6(udp(4789) / VXLAN(flags=8, vni=5001) / Ether(dst=GATEWAY, src=PEER) / back())
packets["backInMPLSoUDP"] = in6(udp(6635) / MPLS(label=16, s=1, ttl=64) / back())
packets["backInMPLSoGRE"] = in6(GRE(proto=0x8847) / MPLS(label=16, s=1, ttl=64) / back())
packets["backChecksummed"] = in6(udp(4789, None) / VXLAN(flags=8, vni=5001) / Ether(dst=GATEWAY, src=PEER) / back())
packets["backInRouterMAC"] = in6(udp(4789) / VXLAN(flags=8, vni=5001) / Ether(dst=ROUTER, src=PEER) / back())
packets["backFromStranger"] = in6(udp(6635) / MPLS(label=16, s=1, ttl=64) / back(), src="fd00::66")

packets["solicitation"] = (Ether(dst="33:33:ff:00:00:11", src=PEER) / IPv6(src=THEM, dst="ff02::1:ff00:11", hlim=255) /
                           ICMPv6ND_NS(tgt=US) / ICMPv6NDOptSrcLLAddr(lladdr=PEER))
packets["advertisement"] = (Ether(dst=PEER, src=FABRIC) / IPv6(src=US, dst=THEM, hlim=255) /
                            ICMPv6ND_NA(tgt=US, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=FABRIC))
packets["theirAdvertisement"] = (Ether(dst=FABRIC, src=PEER) / IPv6(src=THEM, dst=US, hlim=255) /
                                 ICMPv6ND_NA(tgt=THEM, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER))
packets["echoToUs"] = Ether(dst=FABRIC, src=PEER) / IPv6(src=THEM, dst=US) / ICMPv6EchoRequest(id=1, seq=2, data=b"x" * 16)
packets["echoFromUs"] = Ether(dst=PEER, src=FABRIC) / IPv6(src=US, dst=THEM) / ICMPv6EchoReply(id=1, seq=2, data=b"x" * 16)

big6 = IPv6(src="fd00:1::11", dst="fd00:1::66", hlim=64) / ICMPv6EchoRequest(id=8, seq=1, data=bytes(i & 255 for i in range(1383)))
packets["big6"] = Ether(dst="02:00:00:00:01:66", src=A) / big6
packets["packetTooBig"] = (Ether(dst=A, src=GATEWAY) / IPv6(src="fd00:1::1", dst="fd00:1::11", hlim=64) /
                           ICMPv6PacketTooBig(mtu=1430) / Raw(bytes(big6)[:1280 - 48]))

golden.write("make-golden-overlay.py", "GoldenOverlay", packets)
