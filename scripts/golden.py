"""Writes packets as a Swift file of octets: what the make-golden-*.py scripts have in common."""

import socket
import struct

from scapy.all import IP
from scapy.utils import checksum as scapy_checksum


def dccp(source, destination, data=b""):
    """A request (RFC 4340 section 5.1: 16 octets of header, sequence numbers of 48 bits; 5.2: a service code)."""
    return struct.pack("!HHBBHBBHI", source, destination, 5, 0, 0, 1, 0, 0, 9) + b"test" + data


def udp_lite(source, destination, data=b"", coverage=0):
    """`coverage` (RFC 3828 section 3.1): octets that the checksum covers; 0: all."""
    return struct.pack("!HHHH", source, destination, coverage, 0) + data


def checked(ip, content, at=6, covered=None):
    """The packet with its transport checksum at `at`: over a pseudo-header (its length is that of all) and `covered` octets, which are an even number."""
    v4 = isinstance(ip, IP)
    family, proto = (socket.AF_INET, ip.proto) if v4 else (socket.AF_INET6, ip.nh)
    pseudo = socket.inet_pton(family, ip.src) + socket.inet_pton(family, ip.dst) + struct.pack("!HH" if v4 else "!II", *((proto, len(content)) if v4 else (len(content), proto)))
    checksum = scapy_checksum(pseudo + content[:covered])
    return ip / (content[:at] + struct.pack("!H", checksum or 0xFFFF) + content[at + 2:])


def write(script, name, packets):
    print(f"// swift-format-ignore-file\n// Made by scripts/{script} with scapy. Do not edit.\n")
    print(f"enum {name} {{")
    for packet, content in packets.items():
        octets = bytes(content).hex()
        lines = [octets[at:at + 120] for at in range(0, len(octets), 120)]
        print(f"    static let {packet} = hex(")
        print(" +\n".join(f'        "{line}"' for line in lines) + ")")
    print("}")
