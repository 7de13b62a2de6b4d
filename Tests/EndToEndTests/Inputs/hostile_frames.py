"""Sends frames that no decent sender sends: cut short, bits flipped, lengths that lie, tunnels in tunnels.

Usage: hostile_frames.py INTERFACE MAXIMUM COUNT SEED DESTINATION-MAC SOURCE-MAC [SOURCE DESTINATION]

The last two are addresses on the fabric; without them the frames are those of a workload. The same seed sends the same frames. Prints how
many were sent.
"""

import random
import socket
import sys
import time

from scapy.all import (
    ARP, ICMP, IP, TCP, UDP, DHCP, BOOTP, Dot1Q, Ether, GRE, ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6ND_RS, IPv6, IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop, IPOption_Router_Alert, Raw, fragment)
from scapy.contrib.mpls import MPLS
from scapy.layers.vxlan import VXLAN

interface, maximum, count, seed, destination, source = sys.argv[1:7]
maximum, count = int(maximum), int(count)
random.seed(int(seed))

WORKLOAD, PEER, GATEWAY = "02:00:00:00:01:11", "02:00:00:00:01:13", "00:00:5e:00:01:00"


def inner(dst_mac, src_mac, src, dst, src6, dst6):
    e = Ether(dst=dst_mac, src=src_mac)
    four, six = IP(src=src, dst=dst), IPv6(src=src6, dst=dst6)
    yield e / four / ICMP() / Raw(b"x" * 56)
    yield e / four / UDP(sport=1000, dport=2000) / Raw(b"y" * 100)
    yield e / four / TCP(sport=1000, dport=2000, flags="S", options=[("MSS", 1460), ("WScale", 7)])
    yield e / four / TCP(sport=1000, dport=2000, flags="A") / Raw(b"z" * 1300)
    yield e / IP(src=src, dst=dst, options=[IPOption_Router_Alert()]) / UDP() / Raw(b"o" * 20)
    yield e / IP(src=src, dst=dst, ttl=1) / UDP() / Raw(b"t" * 20)
    yield e / IP(src=src, dst=dst, flags="MF", frag=0) / UDP() / Raw(b"f" * 64)
    yield e / IP(src=src, dst=dst, frag=185) / Raw(b"f" * 64)
    yield e / IP(src=src, dst=dst, proto=99) / Raw(b"p" * 64)
    yield e / IP(src="255.255.255.255", dst=dst) / UDP()
    yield e / IP(src=src, dst="224.0.0.251") / UDP()
    yield e / six / ICMPv6EchoRequest(data=b"6" * 56)
    yield e / six / TCP(sport=1000, dport=2000, flags="S")
    yield e / six / IPv6ExtHdrHopByHop() / UDP() / Raw(b"h" * 30)
    yield e / six / IPv6ExtHdrFragment(m=1, offset=0) / UDP() / Raw(b"F" * 64)
    yield e / IPv6(src=src6, dst="ff02::1:ff00:1") / ICMPv6ND_NS(tgt=dst6)
    yield e / IPv6(src="::", dst="ff02::2") / ICMPv6ND_RS()
    yield e / Dot1Q(vlan=7) / Dot1Q(vlan=8) / four / UDP()
    yield Ether(dst="ff:ff:ff:ff:ff:ff", src=src_mac) / ARP(op=1, hwsrc=src_mac, psrc=src, pdst=dst)
    yield Ether(dst="ff:ff:ff:ff:ff:ff", src=src_mac) / ARP(op=2, hwsrc=src_mac, psrc=src, pdst=src)
    yield (
        Ether(dst="ff:ff:ff:ff:ff:ff", src=src_mac) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP()
        / DHCP(options=[("message-type", "discover"), "end"]))
    yield Ether(dst=dst_mac, src=src_mac, type=0x88CC) / Raw(b"l" * 60)


def bases():
    if len(sys.argv) < 9:
        for dst in (PEER, GATEWAY):
            yield from inner(dst, WORKLOAD, "10.1.0.11", "10.1.0.13", "fd00:1::11", "fd00:1::13")
        return
    here, there = sys.argv[7:9]
    outer = Ether(dst=destination, src=source)
    ip = IP(src=here, dst=there)
    for frame in inner(WORKLOAD, PEER, "10.1.0.13", "10.1.0.11", "fd00:1::13", "fd00:1::11"):
        yield outer / ip / UDP(sport=50000, dport=4789) / VXLAN(vni=1, flags=8) / frame
        yield outer / ip / UDP(sport=50000, dport=6635) / MPLS(label=16, s=1, ttl=64) / Raw(bytes(frame)[14:])
        yield outer / ip / GRE(proto=0x8847) / MPLS(label=17, s=1, ttl=64) / Raw(bytes(frame)[14:])
    yield outer / ip / UDP(sport=50000, dport=6635) / MPLS(label=16, s=0, ttl=64) / MPLS(label=16, s=0, ttl=64) / MPLS(label=3, s=1, ttl=64) / Raw(b"m" * 40)
    yield outer / ip / UDP(sport=50000, dport=6635) / MPLS(label=16, s=1, ttl=1) / Raw(b"E" + b"m" * 40)
    yield outer / ip / UDP(sport=50000, dport=4789) / VXLAN(vni=0xFFFFFF, flags=0) / Raw(b"v" * 60)
    yield outer / ip / UDP(sport=50000, dport=4789) / VXLAN(vni=1, flags=8)
    yield outer / ip / GRE(proto=0x8847, chksum_present=1, key_present=1) / MPLS(label=17, s=1, ttl=64) / Raw(b"E" + b"g" * 60)
    yield from (outer / f for f in fragment(ip / UDP(sport=50000, dport=4789) / VXLAN(vni=1, flags=8) / Raw(b"f" * 1000), fragsize=400))
    yield Ether(dst="ff:ff:ff:ff:ff:ff", src=source) / ARP(op=1, hwsrc=source, psrc=here, pdst=there)


frames = [bytes(frame) for frame in bases()]


def mutated(frame):
    frame = bytearray(frame)
    kind = random.randrange(6)
    if kind == 0:  # cut short, anywhere
        frame = frame[: random.randrange(14, len(frame))]
    elif kind == 1:  # some bits flipped behind the MAC addresses
        for _ in range(random.randrange(1, 9)):
            frame[random.randrange(12, len(frame))] ^= 1 << random.randrange(8)
    elif kind == 2:  # a field of two octets with an extreme value: lengths, offsets, types
        at = random.randrange(12, len(frame) - 1)
        frame[at : at + 2] = random.choice([b"\x00\x00", b"\xff\xff", b"\x00\x01", b"\x7f\xff", b"\x80\x00", b"\x05\xdc"])
    elif kind == 3:  # longer than it says, up to the largest that the link takes
        frame += random.randbytes(random.randrange(1, max(2, maximum - len(frame))))
    elif kind == 4:  # noise behind a good Ethernet type
        frame = frame[:14] + random.randbytes(random.randrange(0, min(maximum, 2000) - 14))
    # kind 5: as it is, so that what the others leave behind meets good frames
    return bytes(frame[:maximum])


link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind((interface, 0))
sent = 0
for number in range(count):
    frame = mutated(random.choice(frames))
    if frame[12:14] in (b"\x81\x00", b"\x88\xa8") and len(frame) < 20:
        continue  # the kernel takes a tag without a frame behind it for itself
    try:
        sent += link.send(frame) > 0
    except OSError as error:
        print(f"frame {number}: {error}", file=sys.stderr)
    if number % 64 == 63:
        time.sleep(0.002)  # an interface's queue is finite; frames lost before the router test nothing
print(sent)
