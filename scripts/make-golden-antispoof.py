#!/usr/bin/env python3
"""Writes Tests/DataplaneTests/Pipeline/GoldenAntispoof.swift: frames that a workload may send and frames that it may not, with scapy."""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import *  # noqa: E402

own, gateway, vip, forged = "02:00:00:00:01:11", "00:00:5e:00:01:00", "00:00:5e:00:01:07", "02:00:00:00:66:66"


def udp(mac, source, v6=False):
    ip = IPv6(src=source, dst="fd00:1::13") if v6 else IP(src=source, dst="10.3.0.5", id=1)
    return Ether(src=mac, dst=gateway) / ip / UDP(sport=4000, dport=53) / b"question"


def arp(mac, sender_mac, sender, op=1):
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=op, hwsrc=sender_mac, psrc=sender, pdst="10.1.0.1")


def solicitation(mac, source, option):
    return (
        Ether(src=mac, dst="33:33:ff:00:00:01") / IPv6(src=source, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fd00:1::1")
        / ICMPv6NDOptSrcLLAddr(lladdr=option)
    )


def advertisement(mac, source, target, option):
    return (
        Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src=source, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=target, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=option)
    )


# Name, frame, whether it may be sent; and with the pairs 10.1.0.48/28, fd00:1:0:0:a::/80, 10.1.0.77 from the MAC 00:00:5e:00:01:07.
cases = [
    ("its own", udp(own, "10.1.0.11"), True, True),
    ("its own, IPv6", udp(own, "fd00:1::11", True), True, True),
    ("another MAC", udp(forged, "10.1.0.11"), False, False),
    ("another address", udp(own, "10.1.0.12"), False, False),
    ("another address, IPv6", udp(own, "fd00:1::12", True), False, False),
    ("the first of an allowed prefix", udp(own, "10.1.0.48"), False, True),
    ("the last of an allowed prefix", udp(own, "10.1.0.63"), False, True),
    ("behind an allowed prefix", udp(own, "10.1.0.64"), False, False),
    ("of an allowed prefix, IPv6", udp(own, "fd00:1::a:0:0:5", True), False, True),
    ("behind an allowed prefix, IPv6", udp(own, "fd00:1::b:0:0:5", True), False, False),
    ("an allowed pair", udp(vip, "10.1.0.77"), False, True),
    ("a pair's address from its own MAC", udp(own, "10.1.0.77"), False, False),
    ("its own address from a pair's MAC", udp(vip, "10.1.0.11"), False, False),
    ("ARP", arp(own, own, "10.1.0.11"), True, True),
    ("ARP probe", arp(own, own, "0.0.0.0"), True, True),
    ("ARP of another address", arp(own, own, "10.1.0.12"), False, False),
    ("ARP of another MAC", arp(own, forged, "10.1.0.11"), False, False),
    ("ARP reply of the gateway", arp(own, own, "10.1.0.1", 2), False, False),
    ("ARP of an allowed pair", arp(vip, vip, "10.1.0.77"), False, True),
    ("ARP of a pair's address with its own MAC", arp(own, own, "10.1.0.77"), False, False),
    ("ARP of an allowed prefix", arp(own, own, "10.1.0.50"), False, True),
    ("solicitation", solicitation(own, "fd00:1::11", own), True, True),
    ("solicitation from a link-local address", solicitation(own, "fe80::1234", own), True, True),
    ("duplicate address detection", Ether(src=own, dst="33:33:ff:00:00:11") / IPv6(src="::", dst="ff02::1:ff00:11", hlim=255) / ICMPv6ND_NS(tgt="fd00:1::11"), True, True),
    ("solicitation of another address", solicitation(own, "fd00:1::12", own), False, False),
    ("solicitation with another MAC", solicitation(own, "fd00:1::11", forged), False, False),
    ("advertisement", advertisement(own, "fd00:1::11", "fd00:1::11", own), True, True),
    ("advertisement of a link-local address", advertisement(own, "fe80::1234", "fe80::1234", own), True, True),
    ("advertisement of another's address", advertisement(own, "fd00:1::11", "fd00:1::12", own), False, False),
    ("advertisement of another's address from a link-local one", advertisement(own, "fe80::1234", "fd00:1::12", own), False, False),
    ("advertisement with another MAC", advertisement(own, "fd00:1::11", "fd00:1::11", forged), False, False),
    ("advertisement of an allowed prefix", advertisement(own, "fd00:1::11", "fd00:1::a:0:0:9", own), False, True),
    ("router advertisement", Ether(src=own, dst="33:33:00:00:00:01") / IPv6(src="fe80::1234", dst="ff02::1", hlim=255) / ICMPv6ND_RA(), False, False),
    ("DHCP without an address", Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255", id=1) / UDP(sport=68, dport=67) / (b"\x01" + bytes(240)), True, True),
    ("0.0.0.0 for anything else", Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255", id=1) / UDP(sport=68, dport=69) / b"x", False, False),
]

print("// swift-format-ignore-file\n// Made by scripts/make-golden-antispoof.py with scapy. Do not edit.\n")
print("enum GoldenAntispoof {\n    static let cases: [(name: String, frame: [UInt8], mayBeSent: Bool, mayBeSentWithPairs: Bool)] = [")
for name, frame, plain, pairs in cases:
    print(f'        ("{name}", hex("{bytes(frame).hex()}"), {str(plain).lower()}, {str(pairs).lower()}),')
print("    ]\n}")
