#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/Pipeline/GoldenBridging.swift: flooded and tagged frames built by scapy, an independent implementation.

    /usr/bin/python3 scripts/make-golden-bridging.py > Tests/DataplaneTests/Pipeline/GoldenBridging.swift
"""
import golden
from scapy.all import (ARP, ICMP, IP, UDP, Dot1AD, Dot1Q, Ether, ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6MLDMultAddrRec, ICMPv6ND_NA, ICMPv6ND_NS,
                       ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrHopByHop, Raw, RouterAlert, fragment)
from scapy.contrib.igmp import IGMP
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

A, B, C = "02:00:00:00:01:11", "02:00:00:00:01:13", "02:00:00:00:01:12"
FABRIC, PEER = "02:00:00:00:0f:01", "02:00:00:00:0f:02"
ALL = "ff:ff:ff:ff:ff:ff"
packets = {}


def vxlan(frame, to="10.0.0.12", vni=5001, tos=0):
    return (Ether(dst=PEER, src=FABRIC) / IP(src="10.0.0.11", dst=to, flags="DF", id=0, ttl=64, tos=tos) /
            UDP(sport=49152, dport=4789, chksum=0) / VXLAN(flags=8, vni=vni) / frame)


def from_vxlan(frame, source="10.0.0.12", vni=5001):
    return (Ether(dst=FABRIC, src=PEER) / IP(src=source, dst="10.0.0.11", flags="DF", id=0, ttl=64) /
            UDP(sport=50000, dport=4789, chksum=0) / VXLAN(flags=8, vni=vni) / frame)


# A frame behind a label: control word, VXLAN header, Ethernet.
def tree(frame, vni=5001):
    return Raw(b"\0\0\0\0") / VXLAN(flags=8, vni=vni) / frame


def label(value):
    return MPLS(label=value, s=1, ttl=64)


ask = lambda source, address, target: Ether(dst=ALL, src=source) / ARP(op=1, hwsrc=source, psrc=address, hwdst="00:00:00:00:00:00", pdst=target)
arp = ask(A, "10.1.0.11", "10.1.0.99")
packets["arp"] = arp
packets["arpToPeer"], packets["arpToOtherPeer"] = vxlan(arp), vxlan(arp, "10.0.0.13", 5002)
packets["arpToTree"] = (Ether(dst=PEER, src=FABRIC) / IP(src="10.0.0.11", dst="10.0.0.14", flags="DF", id=0, ttl=64) /
                        GRE(proto=0x8847) / label(2001) / tree(arp))
packets["arpToTreeUDP"] = (Ether(dst=PEER, src=FABRIC) / IP(src="10.0.0.11", dst="10.0.0.15", flags="DF", id=0, ttl=64) /
                           UDP(sport=49152, dport=6635, chksum=0) / label(2002) / tree(arp))
remote = ask(B, "10.1.0.13", "10.1.0.99")
packets["remoteARP"] = remote
packets["remoteARPFromPeer"], packets["remoteARPFromStranger"] = from_vxlan(remote), from_vxlan(remote, "10.0.0.77")
packets["remoteARPFromTree"] = (Ether(dst=FABRIC, src=PEER) / IP(src="10.0.0.14", dst="10.0.0.11", flags="DF", id=0, ttl=64) /
                                GRE(proto=0x8847) / label(2000) / tree(remote))
packets["remoteARPFromStrangerTree"] = (Ether(dst=FABRIC, src=PEER) / IP(src="10.0.0.77", dst="10.0.0.11", flags="DF", id=0, ttl=64) /
                                        GRE(proto=0x8847) / label(2000) / tree(remote))
packets["remoteARPOnToTree"] = (Ether(dst=PEER, src=FABRIC) / IP(src="10.0.0.11", dst="10.0.0.15", flags="DF", id=0, ttl=64) /
                                UDP(sport=49152, dport=6635, chksum=0) / label(2002) / tree(remote))
packets["arpReply"] = Ether(dst=C, src=A) / ARP(op=2, hwsrc=A, psrc="10.1.0.11", hwdst=C, pdst="10.1.0.12")
packets["arpAnnouncement"] = Ether(dst=ALL, src=A) / ARP(op=1, hwsrc=A, psrc="10.1.0.11", hwdst="00:00:00:00:00:00", pdst="10.1.0.11")
packets["solicitation"] = (Ether(dst="33:33:ff:00:00:99", src=A) / IPv6(src="fd00:1::11", dst="ff02::1:ff00:99", hlim=255) /
                           ICMPv6ND_NS(tgt="fd00:1::99") / ICMPv6NDOptSrcLLAddr(lladdr=A))
packets["solicitationToPeer"] = vxlan(packets["solicitation"])
packets["advertisement"] = (Ether(dst=C, src=A) / IPv6(src="fe80::11", dst="fe80::12", hlim=255) /
                            ICMPv6ND_NA(tgt="fe80::11", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=A))
igmp = IGMP(type=0x16, gaddr="239.1.1.1")
packets["igmp"] = Ether(dst="01:00:5e:01:01:01", src=A) / IP(src="10.1.0.11", dst="239.1.1.1", ttl=1, id=1, proto=2) / Raw(bytes(igmp))
packets["mld"] = (Ether(dst="33:33:00:00:00:16", src=A) / IPv6(src="fe80::11", dst="ff02::16", hlim=1) /
                  IPv6ExtHdrHopByHop(options=RouterAlert()) / ICMPv6MLReport2(records=[ICMPv6MLDMultAddrRec(dst="ff05::5")]))
group = lambda size, **fields: (Ether(dst="01:00:5e:01:01:01", src=A) / IP(src="10.1.0.11", dst="239.1.1.1", ttl=8, id=7, tos=0xB8, **fields) /
                                UDP(sport=1000, dport=2000) / Raw(bytes(i & 255 for i in range(size))))
packets["group"] = group(64)
packets["groupToPeer"] = vxlan(group(64), tos=0xB8)
packets["jumbo"], packets["jumboDF"] = group(3000), group(3000, flags="DF")
for index, piece in enumerate(fragment(group(3000)[IP], fragsize=1424)):
    packets[f"jumboPiece{index}"] = Ether(dst="01:00:5e:01:01:01", src=A) / piece
packets["jumbo6"] = (Ether(dst="33:33:00:00:00:01", src=A) / IPv6(src="fd00:1::11", dst="ff02::1", hlim=64) /
                     ICMPv6EchoRequest(id=8, seq=1, data=bytes(2000)))
unknown = Ether(dst="02:00:00:00:01:77", src=A) / IP(src="10.1.0.11", dst="10.1.0.77", id=1, ttl=64) / UDP(sport=1, dport=2) / Raw(bytes(32))
packets["unknown"], packets["unknownToPeer"] = unknown, vxlan(unknown)
back = Ether(dst="02:00:00:00:01:77", src=B) / IP(src="10.1.0.13", dst="10.1.0.77", id=1, ttl=64) / UDP(sport=1, dport=2) / Raw(bytes(32))
packets["unknownBack"], packets["unknownFromPeer"] = back, from_vxlan(back)

# Tags.
plain = IP(src="10.1.0.11", dst="10.1.0.12", id=1, ttl=64) / ICMP(id=7, seq=1) / Raw(bytes(range(48)))
answer = IP(src="10.1.0.12", dst="10.1.0.11", id=2, ttl=64) / ICMP(type=0, id=7, seq=1) / Raw(bytes(range(48)))
packets["untagged"], packets["answer"] = Ether(dst=C, src=A) / plain, Ether(dst=A, src=C) / answer
packets["tagged"] = Ether(dst=C, src=A) / Dot1Q(vlan=100, prio=5) / plain
packets["priorityTagged"] = Ether(dst=C, src=A) / Dot1Q(vlan=0, prio=5) / plain
packets["otherVLAN"] = Ether(dst=C, src=A) / Dot1Q(vlan=101) / plain
packets["serviceTagged"] = Ether(dst=C, src=A) / Dot1AD(vlan=200) / Dot1Q(vlan=30) / plain
packets["serviceTaggedAlone"] = Ether(dst=C, src=A) / Dot1AD(vlan=100) / plain
packets["tripleTagged"] = Ether(dst=C, src=A) / Dot1AD(vlan=200) / Dot1Q(vlan=30) / Dot1Q(vlan=1) / plain
packets["answerTagged"] = Ether(dst=A, src=C) / Dot1Q(vlan=100) / answer
packets["answerServiceTagged"] = Ether(dst=A, src=C) / Dot1AD(vlan=200) / Dot1Q(vlan=30) / answer
packets["taggedFromPeer"] = from_vxlan(Ether(dst=A, src=B) / Dot1Q(vlan=100) / plain)
packets["arpTagged"] = Ether(dst=ALL, src=A) / Dot1Q(vlan=100) / arp[ARP]

# Marked by a class (DSCP 8, priority 3), under one tag, under two, in two fragments; without the class.
def marked(packet, dscp=8):
    packet = packet.copy()
    packet[IP].tos = dscp << 2
    return Ether(bytes(packet))

packets["answerMarked"] = marked(Ether(dst=A, src=C) / Dot1Q(vlan=100, prio=3) / answer)
packets["answerMarkedTwice"] = marked(Ether(dst=A, src=C) / Dot1AD(vlan=200, prio=3) / Dot1Q(vlan=30, prio=3) / answer)
long = IP(src="10.1.0.12", dst="10.1.0.11", id=7, ttl=64) / UDP(sport=1000, dport=2000) / Raw(bytes(range(250)) * 4)
packets["longAnswer"] = Ether(dst=A, src=C) / long
first, second = fragment(IP(bytes(marked(Ether() / long)[IP])), fragsize=576)
packets["longAnswerMarked1"] = Ether(dst=A, src=C) / Dot1Q(vlan=100, prio=3) / first
packets["longAnswerMarked2"] = Ether(dst=A, src=C) / Dot1Q(vlan=100, prio=3) / second
# Not IP (an EtherType for experiments): from VLAN 100 into VLAN 30 of service VLAN 200, and into a tunnel.
experiment = Raw(bytes(range(46)))
packets["experiment"] = Ether(dst=A, src=B, type=0x8100) / Dot1Q(vlan=100, prio=5, type=0x88B5) / experiment
packets["experimentKept"] = Ether(dst=A, src=B, type=0x88A8) / Dot1AD(vlan=200, prio=5) / Dot1Q(vlan=30, prio=5, type=0x88B5) / experiment
packets["experimentMarked"] = Ether(dst=A, src=B, type=0x88A8) / Dot1AD(vlan=200, prio=3) / Dot1Q(vlan=30, prio=3, type=0x88B5) / experiment
packets["experimentToPeer"] = Ether(dst=B, src=A, type=0x8100) / Dot1Q(vlan=100, prio=5, type=0x88B5) / experiment
packets["experimentInVXLAN"] = vxlan(Ether(dst=B, src=A, type=0x88B5) / experiment, tos=8 << 2)

golden.write("make-golden-bridging.py", "GoldenBridging", packets)
