"""Datagrams to an address, a group or everybody.

    datagrams.py listen ADDRESS PORT INTERFACE              says "ready", then a line for each datagram: its text
    datagrams.py send ADDRESS PORT INTERFACE COUNT TEXT     COUNT datagrams with the texts TEXT-1, TEXT-2 ...
"""
import ipaddress
import socket
import struct
import sys

role, text_address, port, interface = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
address = ipaddress.ip_address(text_address)
index = socket.if_nametoindex(interface)
family = socket.AF_INET if address.version == 4 else socket.AF_INET6
s = socket.socket(family, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

if role == "listen":
    if address.is_multicast and address.version == 4:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("@4s4si", address.packed, bytes(4), index))
    elif address.is_multicast:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("@16si", address.packed, index))
    s.bind((text_address, port))
    print("ready", flush=True)
    while True:
        print(s.recv(65536).decode("ascii", "replace"), flush=True)
else:
    if address.is_multicast and address.version == 4:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    elif address.is_multicast:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    for number in range(1, int(sys.argv[5]) + 1):
        s.sendto(f"{sys.argv[6]}-{number}".encode(), (text_address, port))
