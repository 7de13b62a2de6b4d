#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/Pipeline/Golden.swift: packets built by scapy, an independent implementation, for the pipeline's tests.

    /usr/bin/python3 scripts/make-golden.py > Tests/DataplaneTests/Pipeline/Golden.swift
"""
import golden
from scapy.all import (ARP, ICMP, IP, TCP, UDP, Ether, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr,
                       ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPv6, Raw, fragment)
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

GATEWAY = "00:00:5e:00:01:00"
A, B = "02:00:00:00:01:11", "02:00:00:00:01:13"
FABRIC, PEER = "02:00:00:00:0f:01", "02:00:00:00:0f:02"
packets = {}


def outer(payload, **fields):
    return Ether(dst=PEER, src=FABRIC) / IP(src="10.0.0.11", dst="10.0.0.12", flags="DF", id=0, ttl=64, **fields) / payload


def outer_in(payload, **fields):
    return Ether(dst=FABRIC, src=PEER) / IP(src="10.0.0.12", dst="10.0.0.11", flags="DF", id=0, ttl=64, **fields) / payload


echo = Raw(bytes(range(48)))
bridged = Ether(dst=B, src=A) / IP(src="10.1.0.11", dst="10.1.0.13", id=1, ttl=64, tos=0x28) / ICMP(id=7, seq=1) / echo
packets["bridged"] = bridged
packets["bridgedInVXLAN"] = outer(UDP(sport=49152, dport=4789, chksum=0) / VXLAN(flags=8, vni=5001) / bridged, tos=0x28)
bridged_back = Ether(dst=A, src=B) / IP(src="10.1.0.13", dst="10.1.0.11", id=2, ttl=64) / ICMP(type=0, id=7, seq=1) / echo
packets["bridgedBack"] = bridged_back
packets["bridgedBackInVXLAN"] = outer_in(UDP(sport=50000, dport=4789, chksum=0) / VXLAN(flags=8, vni=5001) / bridged_back)

routed = lambda ttl: Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.3.0.9", id=3, ttl=ttl) / UDP(sport=1000, dport=2000) / echo
packets["routed"] = routed(64)
packets["routedTTL1"] = routed(1)
inner = Ether(dst=GATEWAY, src=GATEWAY) / routed(63)[IP]
packets["routedInVXLAN"] = outer(UDP(sport=49152, dport=4789, chksum=0) / VXLAN(flags=8, vni=5003) / inner)
packets["routedInMPLSoUDP"] = outer(UDP(sport=49152, dport=6635, chksum=0) / MPLS(label=77, s=1, ttl=64) / routed(63)[IP])
packets["routedInMPLSoGRE"] = outer(GRE(proto=0x8847) / MPLS(label=77, s=1, ttl=64) / routed(63)[IP])
packets["timeExceeded"] = (Ether(dst=A, src=GATEWAY) / IP(src="10.1.0.1", dst="10.1.0.11", tos=0xC0, flags="DF", id=0, ttl=64) /
                           ICMP(type=11, code=0) / Raw(bytes(routed(1)[IP])))

back = IP(src="10.3.0.9", dst="10.1.0.11", id=4, ttl=60) / UDP(sport=2000, dport=1000) / echo
packets["backInMPLSoUDP"] = outer_in(UDP(sport=50001, dport=6635, chksum=0) / MPLS(label=16, s=1, ttl=64) / back)
packets["backInMPLSoGRE"] = outer_in(GRE(proto=0x8847) / MPLS(label=16, s=1, ttl=64) / back)
packets["backInVXLAN"] = outer_in(UDP(sport=50001, dport=4789, chksum=0) / VXLAN(flags=8, vni=5001) / Ether(dst=GATEWAY, src=PEER) / back)
packets["backDelivered"] = Ether(dst=A, src=GATEWAY) / back
packets["backWithCE"] = outer_in(UDP(sport=50001, dport=6635, chksum=0) / MPLS(label=16, s=1, ttl=64) /
                                 IP(src="10.3.0.9", dst="10.1.0.11", id=4, ttl=60, tos=2) / UDP(sport=2000, dport=1000) / echo, tos=3)
packets["backWithCEDelivered"] = (Ether(dst=A, src=GATEWAY) / IP(src="10.3.0.9", dst="10.1.0.11", id=4, ttl=60, tos=3) /
                                  UDP(sport=2000, dport=1000) / echo)
packets["backWithCENotCapable"] = outer_in(UDP(sport=50001, dport=6635, chksum=0) / MPLS(label=16, s=1, ttl=64) / back, tos=3)

ask = lambda target: Ether(dst="ff:ff:ff:ff:ff:ff", src=A) / ARP(op=1, hwsrc=A, psrc="10.1.0.11", hwdst="00:00:00:00:00:00", pdst=target)
told = lambda target, mac: Ether(dst=A, src=mac) / ARP(op=2, hwsrc=mac, psrc=target, hwdst=A, pdst="10.1.0.11")
packets["arpGateway"], packets["arpGatewayReply"] = ask("10.1.0.1"), told("10.1.0.1", GATEWAY)
packets["arpNeighbour"], packets["arpNeighbourReply"] = ask("10.1.0.13"), told("10.1.0.13", B)
packets["arpUnknown"] = ask("10.1.0.99")
packets["arpSelf"] = ask("10.1.0.11")
packets["fabricARPRequest"] = (Ether(dst="ff:ff:ff:ff:ff:ff", src=PEER) /
                               ARP(op=1, hwsrc=PEER, psrc="10.0.0.12", hwdst="00:00:00:00:00:00", pdst="10.0.0.11"))
packets["fabricARPRequestReply"] = Ether(dst=PEER, src=FABRIC) / ARP(op=2, hwsrc=FABRIC, psrc="10.0.0.11", hwdst=PEER, pdst="10.0.0.12")
packets["fabricARPReply"] = Ether(dst=FABRIC, src=PEER) / ARP(op=2, hwsrc=PEER, psrc="10.0.0.12", hwdst=FABRIC, pdst="10.0.0.11")

packets["solicitation"] = (Ether(dst="33:33:ff:00:00:13", src=A) / IPv6(src="fd00:1::11", dst="ff02::1:ff00:13", hlim=255) /
                           ICMPv6ND_NS(tgt="fd00:1::13") / ICMPv6NDOptSrcLLAddr(lladdr=A))
packets["advertisement"] = (Ether(dst=A, src=B) / IPv6(src="fd00:1::13", dst="fd00:1::11", hlim=255) /
                            ICMPv6ND_NA(tgt="fd00:1::13", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=B))

big = IP(src="10.1.0.11", dst="10.1.0.13", id=9, ttl=64) / ICMP(id=8, seq=1) / Raw(bytes(i & 255 for i in range(2972)))
packets["big"] = Ether(dst=B, src=A) / big
for index, piece in enumerate(fragment(big, fragsize=1424)):
    packets[f"bigPiece{index}"] = Ether(dst=B, src=A) / piece
bigDF = IP(src="10.1.0.11", dst="10.1.0.13", id=9, ttl=64, flags="DF") / ICMP(id=8, seq=1) / Raw(bytes(i & 255 for i in range(2972)))
packets["bigDF"] = Ether(dst=B, src=A) / bigDF
packets["fragmentationNeeded"] = (Ether(dst=A, src=GATEWAY) / IP(src="10.1.0.1", dst="10.1.0.11", tos=0xC0, flags="DF", id=0, ttl=64) /
                                  ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(bigDF)[:576 - 28]))
big6 = IPv6(src="fd00:1::11", dst="fd00:1::13", hlim=64) / ICMPv6EchoRequest(id=8, seq=1, data=bytes(i & 255 for i in range(2000)))
packets["big6"] = Ether(dst=B, src=A) / big6
packets["packetTooBig"] = (Ether(dst=A, src=GATEWAY) / IPv6(src="fd00:1::1", dst="fd00:1::11", hlim=64) /
                           ICMPv6PacketTooBig(mtu=1450) / Raw(bytes(big6)[:1280 - 48]))

syn = lambda mss: Ether(dst=B, src=A) / IP(src="10.1.0.11", dst="10.1.0.13", id=5, flags="DF") / TCP(sport=4000, dport=80, flags="S", seq=1, options=[("MSS", mss)])
packets["syn"], packets["synClamped"] = syn(8960), syn(1410)
packets["echoGateway"] = Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.1.0.1", id=6, ttl=64) / ICMP(id=9, seq=2) / echo
packets["echoGatewayReply"] = Ether(dst=A, src=GATEWAY) / IP(src="10.1.0.1", dst="10.1.0.11", id=6, ttl=64) / ICMP(type=0, id=9, seq=2) / echo
packets["toHost"] = Ether(dst=FABRIC, src=PEER) / IP(src="10.0.0.12", dst="10.0.0.11", id=1) / TCP(sport=5269, dport=4001, flags="S")
packets["fromHost"] = Ether(dst=PEER, src=FABRIC) / IP(src="10.0.0.11", dst="10.0.0.12", id=1) / TCP(sport=4001, dport=5269, flags="SA")
packets["dhcp"] = Ether(dst="ff:ff:ff:ff:ff:ff", src=A) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / Raw(bytes(240))
packets["toRed"] = Ether(dst=GATEWAY, src=A) / IP(src="10.1.0.11", dst="10.2.0.11", id=3) / ICMP(id=1) / echo

golden.write("make-golden.py", "Golden", packets)
