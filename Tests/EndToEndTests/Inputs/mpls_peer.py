"""The far end of MPLS tunnels on a Linux host: its sockets take the tunnel packets, its IP stack has the payload, on the interface tun0.

    mpls_peer.py udp|gre OWN-ADDRESS FAR-ADDRESS LABEL [corrupt]

says "ready". What comes with any label that is the last of its stack goes to tun0; what tun0 sends goes to FAR-ADDRESS under LABEL. In place of
that, "corrupt" sends one echo request from 10.7.2.20 to 10.7.1.10 whose outer UDP checksum is wrong, and one under a stack of two labels.
"""
import fcntl
import ipaddress
import os
import select
import socket
import struct
import subprocess
import sys

kind, own, far, label = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
is_ipv6 = ipaddress.ip_address(own).version == 6
family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
entry = struct.pack("!I", label << 12 | 1 << 8 | 64)
MPLS_OVER_UDP, UDP_NO_CHECK6_RX = 6635, 102

if "corrupt" in sys.argv:
    from scapy.all import ICMP, IP, IPv6, UDP, raw, send
    inner = raw(IP(src="10.7.2.20", dst="10.7.1.10") / ICMP(type=8, id=9))
    outer = (IPv6 if is_ipv6 else IP)(src=own, dst=far)
    good = outer.__class__(raw(outer / UDP(sport=50000, dport=MPLS_OVER_UDP) / (entry + inner)))
    wrong = good.copy()
    wrong[UDP].chksum ^= 0x0101
    two = outer / UDP(sport=50000, dport=MPLS_OVER_UDP) / (struct.pack("!I", 99 << 12 | 64) + entry + inner)
    for packet in (wrong, two):
        send(packet, verbose=0)
    sys.exit()

tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"tun0", 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
subprocess.run(["ip", "link", "set", "tun0", "mtu", "1500", "up"], check=True)

if kind == "udp":
    s = socket.socket(family, socket.SOCK_DGRAM)
    if is_ipv6:
        s.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
    s.bind((own, MPLS_OVER_UDP))
else:
    s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_GRE)
    s.bind((own, 0))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
print("ready", flush=True)

poll = select.poll()
for descriptor in (tun, s.fileno()):
    poll.register(descriptor, select.POLLIN)
while True:
    for descriptor, _ in poll.poll():
        if descriptor == tun:
            packet = os.read(tun, 65536)
            if kind == "udp":
                s.sendto(entry + packet, (far, MPLS_OVER_UDP))
            else:
                s.sendto(struct.pack("!HH", 0, 0x8847) + entry + packet, (far, 0))
            continue
        packet = s.recv(65536)
        if kind == "gre":
            # A raw socket of IPv4 shows the header.
            packet = packet if is_ipv6 else packet[(packet[0] & 15) * 4:]
            if packet[:4] != struct.pack("!HH", 0, 0x8847):
                continue
            packet = packet[4:]
        if len(packet) > 4 and packet[2] & 1:
            os.write(tun, packet[4:])
