"""Sends frames that nobody should send: mutated, truncated, with lengths that lie, as large as the interface takes.

Usage: hostile.py INTERFACE workload|fabric SEED COUNT DESTINATION-MAC VNI
Prints how many frames were sent. The same seed makes the same frames.
"""

import errno
import random
import socket
import sys

from scapy.all import (
    ARP, BOOTP, DHCP, GRE, ICMP, IP, TCP, UDP, VXLAN, Dot1Q, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA,
    ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPOption_RR, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, Raw)
from scapy.contrib.mpls import MPLS

interface, where, seed, count, router, vni = sys.argv[1:7]
random = random.Random(f"{where} {seed}")
count = int(count)


def inner(source, destination, ethernet, source6, destination6):
    """What a workload may send, and then some."""
    v4, v6 = IP(src=source, dst=destination), IPv6(src=source6, dst=destination6)
    payload = Raw(bytes(range(200)))
    return [
        ethernet / packet
        for packet in [
            v4 / ICMP() / payload, v4 / UDP(sport=7, dport=9) / payload, v4 / TCP(sport=7, dport=9, flags="S", options=[("MSS", 1460), ("WScale", 7)]),
            v4 / TCP(sport=7, dport=9, flags="PA") / payload, IP(src=source, dst=destination, options=[IPOption_RR()]) / UDP() / payload,
            IP(src=source, dst=destination, flags="MF", id=7) / UDP() / payload, IP(src=source, dst=destination, frag=8189, id=7) / payload,
            IP(src=source, dst=destination, ttl=1) / UDP() / payload, v4 / ICMP(type=3, code=4, nexthopmtu=0) / v4 / UDP(),
            v4 / GRE() / v4 / UDP(), IP(src=source, dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP(op=1) / DHCP(options=["end"]),
            IP(src=source, dst="224.0.0.1") / UDP() / payload, v6 / ICMPv6EchoRequest() / payload, v6 / UDP(sport=7, dport=9) / payload,
            v6 / TCP(sport=7, dport=9, flags="S", options=[("MSS", 1440)]), v6 / IPv6ExtHdrHopByHop() / UDP() / payload,
            v6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / TCP(), v6 / IPv6ExtHdrFragment(m=1, id=9) / UDP() / payload,
            v6 / IPv6ExtHdrFragment(offset=8191, id=9) / payload, v6 / ICMPv6PacketTooBig(mtu=0) / v6 / UDP(), v6 / ICMPv6DestUnreach() / v6 / UDP(),
            v6 / ICMPv6ND_NS(tgt=destination6) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99"), v6 / ICMPv6ND_NA(tgt=source6),
            v6 / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(), Dot1Q(vlan=5) / v4 / UDP(), Dot1Q(vlan=5) / Dot1Q(vlan=6) / v6 / UDP(),
            ARP(psrc=source, pdst=destination, hwsrc="02:00:00:00:00:99"), ARP(op=2, psrc=source, pdst=destination, hwsrc="02:00:00:00:00:99"),
        ]
    ] + [ethernet / MPLS(label=16, s=1, ttl=2) / v4 / UDP(), Ether(dst="ff:ff:ff:ff:ff:ff", src=ethernet.src, type=0x88CC) / payload]


workload = inner(
    "10.1.0.11", "10.1.0.13", Ether(src="02:00:00:00:01:11", dst="00:00:5e:00:01:00"), "fd00:1::11", "fd00:1::13")
if where == "workload":
    # By the router, and by the neighbour's own address.
    seeds = workload + inner(
        "10.1.0.11", "10.1.0.12", Ether(src="02:00:00:00:01:11", dst="02:00:00:00:01:12"), "fd00:1::11", "fd00:1::12")
else:
    # From the other node's tunnel endpoint, to each kind of tunnel; and to the node itself, from one that claims no address of anybody.
    outer = Ether(src="02:00:00:00:00:99", dst=router)
    tunnel = outer / IP(src="10.0.0.12", dst="10.0.0.11")
    arrives = inner("10.1.0.13", "10.1.0.11", Ether(src="02:00:00:00:01:13", dst="02:00:00:00:01:11"), "fd00:1::13", "fd00:1::11")
    seeds = (
        [tunnel / UDP(sport=50000, dport=4789) / VXLAN(vni=int(vni), flags=8) / packet for packet in arrives + workload]
        + [tunnel / UDP(sport=50000, dport=6635) / MPLS(label=label, s=1, ttl=64) / packet.payload for packet in arrives for label in (16, 17)]
        + [tunnel / UDP(dport=6635) / MPLS(label=3, s=0) / MPLS(label=16, s=0) / MPLS(label=1048575, s=1) / arrives[0].payload]
        + [tunnel / GRE(proto=0x8847) / MPLS(label=16, s=1) / packet.payload for packet in arrives]
        + inner("10.0.0.77", "10.0.0.11", outer, "fd00::77", "fd00::78"))
seeds = [bytes(packet) for packet in seeds]
largest = int(open(f"/sys/class/net/{interface}/mtu").read()) + 14


def mutate(frame):
    frame = bytearray(frame)
    kind = random.randrange(8)
    if kind == 0:
        return frame[: random.randrange(14, len(frame) + 1)]
    if kind == 1:
        return frame + random.randbytes(largest - len(frame))
    if kind == 2:
        # A field of 16 bits at one of its limits: lengths, offsets, ports, types.
        at = random.randrange(12, len(frame) - 1)
        frame[at : at + 2] = random.choice([b"\0\0", b"\xff\xff", b"\0\1", b"\x7f\xff", b"\x80\0"])
        return frame
    if kind == 3:
        return frame[:14] + random.randbytes(random.randrange(0, largest - 13))
    if kind == 4:
        # Header lengths and versions: the first octet of what follows Ethernet, or of what a tunnel carries.
        frame[random.choice([14, 34, 50, 64])] = random.randrange(256)
        return frame
    if kind == 5:
        a, b = sorted(random.randrange(12, len(frame)) for _ in range(2))
        return frame[:a] + frame[b:]
    for _ in range(random.randrange(1, 9)):
        frame[random.randrange(12, len(frame))] = random.randrange(256)
    return frame[: random.randrange(len(frame) // 2, len(frame) + 1)] if kind == 6 else frame


with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind((interface, 0))
    sent = 0
    while sent < count:
        frame = mutate(random.choice(seeds))[:largest]
        try:
            raw.send(frame if len(frame) > 14 else frame.ljust(15, b"\0"))
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            continue
        sent += 1
print(sent)
