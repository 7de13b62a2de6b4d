#!/usr/bin/env python3
"""Writes what workloads ask of the network, and the answers, as scapy, an independent implementation, builds them.

    /usr/bin/python3 scripts/make-golden-services.py dataplane > Tests/DataplaneTests/Pipeline/GoldenServices.swift
    /usr/bin/python3 scripts/make-golden-services.py agent > Tests/AgentTests/Services/GoldenServices.swift
"""
import golden
import sys

from scapy.all import (BOOTP, DHCP, DNS, DNSQR, DNSRR, DNSRROPT, DNSRRSOA, DUID_LL, DUID_LLT, IP, TCP, UDP, DHCP6_Advertise, DHCP6_Confirm,
                       DHCP6_InfoRequest, DHCP6_Rebind, DHCP6_Release, DHCP6_Renew, DHCP6_Reply, DHCP6_Request, DHCP6_Solicit, DHCP6OptClientId,
                       DHCP6OptDNSDomains, DHCP6OptDNSServers, DHCP6OptElapsedTime, DHCP6OptIA_NA, DHCP6OptIA_PD, DHCP6OptIA_TA, DHCP6OptIAAddress,
                       DHCP6OptInfoRefreshTime, DHCP6OptOptReq, DHCP6OptPref, DHCP6OptRapidCommit, DHCP6OptServerId, DHCP6OptStatusCode, Ether,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDNSSL, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU,
                       ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS, ICMPv6NDOptSrcLLAddr, IPv6)

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

if sys.argv[1] == "agent":
    CHADDR, STRANGER = bytes.fromhex(A.replace(":", "")), bytes.fromhex("020000000199")
    WANTED = [1, 3, 6, 12, 15, 26, 28, 42, 119, 121]

    def client(xid, *options, src="0.0.0.0", dst="255.255.255.255", chaddr=CHADDR, **fields):
        return (Ether(dst=ALL if dst == "255.255.255.255" else GATEWAY, src=A) / IP(src=src, dst=dst, id=0, ttl=64) / UDP(sport=68, dport=67) /
                BOOTP(chaddr=chaddr, xid=xid, **fields) / DHCP(options=list(options) + ["end"]))

    def server(xid, *options, mac=A, dst="10.1.0.11", yiaddr="10.1.0.11", **fields):
        message = bytes(BOOTP(op=2, chaddr=CHADDR, xid=xid, yiaddr=yiaddr, **fields) / DHCP(options=list(options) + ["end"]))
        return (Ether(dst=mac, src=GATEWAY) / IP(src="10.1.0.1", dst=dst, id=0, ttl=64) / UDP(sport=67, dport=68) /
                message.ljust(300, b"\0"))

    identity = ("client_id", b"\x01" + CHADDR)
    me = ("server_id", "10.1.0.1")
    times = (("lease_time", 3600), ("renewal_time", 1800), ("rebinding_time", 3150))
    routes = (121, bytes([25, 192, 0, 2, 0, 10, 1, 0, 9, 0, 10, 1, 0, 1]))
    usual = (("subnet_mask", "255.255.255.0"), routes, ("router", "10.1.0.1"), ("name_server", "10.1.0.1"), (26, bytes([0x05, 0xAA])),
             ("domain", b"blue.vrouter.local"), ("hostname", b"blue1"))
    everything = usual + (("broadcast_address", "10.1.0.255"), ("NTP_server", "192.0.2.123"), (119, b"\4blue\7vrouter\5local\0"))
    ntp = (("NTP_server", "192.0.2.123"),)
    packets["discover"] = client(1, ("message-type", "discover"), identity, ("param_req_list", WANTED), ("max_dhcp_size", 1500))
    packets["offer"] = server(1, ("message-type", "offer"), me, identity, *times, *everything)
    packets["discoverBroadcast"] = client(2, ("message-type", "discover"), flags=0x8000)
    packets["offerBroadcast"] = server(2, ("message-type", "offer"), me, *times, *usual, *ntp, mac=ALL, dst="255.255.255.255", flags=0x8000)
    packets["discoverRapid"] = client(3, ("message-type", "discover"), (80, b""), ("param_req_list", [1, 3]))
    packets["ackRapid"] = server(3, ("message-type", "ack"), me, (80, b""), *times, usual[0], usual[2])
    packets["select"] = client(4, ("message-type", "request"), identity, ("requested_addr", "10.1.0.11"), me, ("param_req_list", WANTED))
    packets["ack"] = server(4, ("message-type", "ack"), me, identity, *times, *everything)
    packets["reboot"] = client(5, ("message-type", "request"), ("requested_addr", "10.1.0.11"), ("param_req_list", [1, 3, 6]))
    packets["ackReboot"] = server(5, ("message-type", "ack"), me, *times, usual[0], usual[2], usual[3])
    packets["renew"] = client(6, ("message-type", "request"), ("param_req_list", [1]), src="10.1.0.11", dst="10.1.0.1", ciaddr="10.1.0.11")
    packets["ackRenew"] = server(6, ("message-type", "ack"), me, *times, usual[0], ciaddr="10.1.0.11")
    packets["inform"] = client(7, ("message-type", "inform"), ("param_req_list", [6, 15]), src="10.1.0.11", ciaddr="10.1.0.11")
    packets["ackInform"] = server(7, ("message-type", "ack"), me, usual[3], usual[5], ciaddr="10.1.0.11", yiaddr="0.0.0.0")
    packets["rebootElsewhere"] = client(8, ("message-type", "request"), ("requested_addr", "10.9.0.5"))
    packets["nak"] = server(8, ("message-type", "nak"), me, ("error_message", b"not your address"), mac=ALL, dst="255.255.255.255", yiaddr="0.0.0.0",
                            flags=0x8000)
    packets["selectOther"] = client(9, ("message-type", "request"), ("requested_addr", "10.1.0.11"), ("server_id", "10.1.0.2"))
    packets["release"] = client(10, ("message-type", "release"), me, src="10.1.0.11", dst="10.1.0.1", ciaddr="10.1.0.11")
    packets["decline"] = client(11, ("message-type", "decline"), ("requested_addr", "10.1.0.11"), me)
    packets["discoverStranger"] = client(12, ("message-type", "discover"), chaddr=STRANGER)
    packets["discoverRelayed"] = client(13, ("message-type", "discover"), giaddr="10.1.0.99")

if sys.argv[1] == "agent":
    DUID = bytes(duid)
    SERVER = DHCP6OptServerId(duid=DUID_LL(lladdr=GATEWAY))
    CLIENT = DHCP6OptClientId(duid=duid)

    def client6(message, *options, src=LINK_LOCAL, dst="ff02::1:2", mac=A):
        packet = Ether(dst="33:33:00:01:00:02", src=mac) / IPv6(src=src, dst=dst, hlim=1) / UDP(sport=546, dport=547) / message
        for option in options:
            packet = packet / option
        return packet

    def server6(message, *options):
        packet = Ether(dst=A, src=GATEWAY) / IPv6(src=ROUTER, dst=LINK_LOCAL, hlim=64) / UDP(sport=547, dport=546) / message
        for option in options:
            packet = packet / option
        return packet

    def lease(address="fd00:1::11", preferred=2250, valid=3600):
        return DHCP6OptIAAddress(addr=address, preflft=preferred, validlft=valid)

    ask = DHCP6OptOptReq(reqopts=[23, 24])
    bound = DHCP6OptIA_NA(iaid=7, T1=1125, T2=1800, ianaopts=[lease()])
    dns6 = DHCP6OptDNSServers(dnsservers=["fd00:1::1"])
    search6 = DHCP6OptDNSDomains(dnsdomains=["blue.vrouter.local."])
    packets["advertise"] = server6(DHCP6_Advertise(trid=0x010203), SERVER, CLIENT, bound, DHCP6OptPref(prefval=255), dns6, search6)
    packets["solicitRapid"] = client6(DHCP6_Solicit(trid=2), CLIENT, DHCP6OptRapidCommit(), DHCP6OptIA_NA(iaid=7))
    packets["replyRapid"] = server6(DHCP6_Reply(trid=2), SERVER, CLIENT, DHCP6OptRapidCommit(), bound)
    packets["request6"] = client6(DHCP6_Request(trid=3), CLIENT, SERVER, ask, DHCP6OptIA_NA(iaid=7, ianaopts=[lease()]))
    packets["reply6"] = server6(DHCP6_Reply(trid=3), SERVER, CLIENT, bound, dns6, search6)
    packets["renew6"] = client6(DHCP6_Renew(trid=4), CLIENT, SERVER, DHCP6OptIA_NA(iaid=7, ianaopts=[lease("fd00:1::99"), lease()]))
    packets["replyRenew6"] = server6(DHCP6_Reply(trid=4), SERVER, CLIENT,
                                     DHCP6OptIA_NA(iaid=7, T1=1125, T2=1800, ianaopts=[lease(), lease("fd00:1::99", 0, 0)]))
    packets["rebindTwo"] = client6(DHCP6_Rebind(trid=5), CLIENT, DHCP6OptIA_NA(iaid=7), DHCP6OptIA_NA(iaid=8), DHCP6OptIA_TA(iaid=9),
                                   DHCP6OptIA_PD(iaid=10))
    packets["replyTwo"] = server6(
        DHCP6_Reply(trid=5), SERVER, CLIENT, bound,
        DHCP6OptIA_NA(iaid=8, T1=1125, T2=1800, ianaopts=[DHCP6OptStatusCode(statuscode=2, statusmsg=b"the port has no more addresses")]),
        DHCP6OptIA_TA(iaid=9, iataopts=[DHCP6OptStatusCode(statuscode=2, statusmsg=b"no temporary addresses")]),
        DHCP6OptIA_PD(iaid=10, T1=0, T2=0, iapdopt=[DHCP6OptStatusCode(statuscode=6, statusmsg=b"no prefixes")]))
    packets["confirm"] = client6(DHCP6_Confirm(trid=6), CLIENT, DHCP6OptIA_NA(iaid=7, ianaopts=[lease("fd00:1::77", 0, 0)]))
    packets["replyConfirm"] = server6(DHCP6_Reply(trid=6), SERVER, CLIENT, DHCP6OptStatusCode(statuscode=0, statusmsg=b"on the link"))
    packets["confirmElsewhere"] = client6(DHCP6_Confirm(trid=7), CLIENT, DHCP6OptIA_NA(iaid=7, ianaopts=[lease("fd00:9::77", 0, 0)]))
    packets["replyElsewhere"] = server6(DHCP6_Reply(trid=7), SERVER, CLIENT, DHCP6OptStatusCode(statuscode=4, statusmsg=b"not on this link"))
    packets["information"] = client6(DHCP6_InfoRequest(trid=8), DHCP6OptOptReq(reqopts=[23, 32]))
    packets["replyInformation"] = server6(DHCP6_Reply(trid=8), SERVER, dns6, DHCP6OptInfoRefreshTime(reftime=3600))
    packets["release6"] = client6(DHCP6_Release(trid=9), CLIENT, SERVER, DHCP6OptIA_NA(iaid=7, ianaopts=[lease()]))
    packets["replyRelease"] = server6(DHCP6_Reply(trid=9), SERVER, CLIENT, DHCP6OptStatusCode(statuscode=0, statusmsg=b"done"))
    other = DHCP6OptServerId(duid=DUID_LL(lladdr="02:00:00:00:00:01"))
    packets["requestOther6"] = client6(DHCP6_Request(trid=10), CLIENT, other, DHCP6OptIA_NA(iaid=7))
    packets["solicitStranger"] = client6(DHCP6_Solicit(trid=11), CLIENT, DHCP6OptIA_NA(iaid=7), mac="02:00:00:00:01:99")

    def advertisement(mac, dst):
        return (Ether(dst=mac, src=GATEWAY) / IPv6(src=ROUTER, dst=dst, hlim=255) /
                ICMPv6ND_RA(chlim=64, M=1, O=1, routerlifetime=1800, prf=0) / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY) / ICMPv6NDOptMTU(mtu=1450) /
                ICMPv6NDOptPrefixInfo(prefix="fd00:1::", prefixlen=64, L=1, A=0, validlifetime=86400, preferredlifetime=14400) /
                ICMPv6NDOptRDNSS(lifetime=1800, dns=["fd00:1::1"]) / ICMPv6NDOptDNSSL(lifetime=1800, searchlist=["blue.vrouter.local."]))

    packets["advertisement"] = advertisement(A, LINK_LOCAL)
    packets["advertisementToAll"] = advertisement("33:33:00:00:00:01", "ff02::1")
    packets["solicitationUnspecified"] = (Ether(dst="33:33:00:00:00:02", src=A) / IPv6(src="::", dst="ff02::2", hlim=255) / ICMPv6ND_RS())
    packets["solicitationRouted"] = (Ether(dst="33:33:00:00:00:02", src=A) / IPv6(src=LINK_LOCAL, dst="ff02::2", hlim=254) / ICMPv6ND_RS())

    # DNS messages without anything around them.
    def dns(**fields):
        return DNS(qr=1, ra=1, rd=1, **fields)

    name = "www.Example.test."
    packets["query"] = DNS(id=0x0102, rd=1, qd=DNSQR(qname=name, qtype="A"), ar=DNSRROPT(rclass=4096, z=0x8000))
    packets["queryPlain"] = DNS(id=0x0103, rd=1, qd=DNSQR(qname="WWW.example.TEST.", qtype="A"))
    packets["response"] = dns(id=0x0102, qd=DNSQR(qname=name, qtype="A"), an=(
        DNSRR(rrname=name, type="CNAME", ttl=600, rdata="web.example.test.") / DNSRR(rrname="web.example.test.", type="A", ttl=60, rdata="192.0.2.80")))
    packets["denial"] = dns(id=0x0102, rcode=3, qd=DNSQR(qname=name, qtype="A"), ns=(
        DNSRRSOA(rrname="example.test.", ttl=900, mname="ns.example.test.", rname="root.example.test.", serial=1, minimum=300)))
    packets["queryPort"] = DNS(id=7, rd=1, qd=DNSQR(qname="blue3.blue.vrouter.local.", qtype="A"))
    packets["responsePort"] = DNS(id=7, qr=1, aa=1, rd=1, ra=1, qd=DNSQR(qname="blue3.blue.vrouter.local.", qtype="A"), an=(
        DNSRR(rrname="blue3.blue.vrouter.local.", type="A", ttl=30, rdata="10.1.0.13")))
    packets["queryReverse"] = DNS(id=8, rd=1, qd=DNSQR(qname="13.0.1.10.in-addr.arpa.", qtype="PTR"))
    packets["responseReverse"] = DNS(id=8, qr=1, aa=1, rd=1, ra=1, qd=DNSQR(qname="13.0.1.10.in-addr.arpa.", qtype="PTR"), an=(
        DNSRR(rrname="13.0.1.10.in-addr.arpa.", type="PTR", ttl=30, rdata="blue3.blue.vrouter.local.")))
    packets["queryNobody"] = DNS(id=9, rd=1, qd=DNSQR(qname="nobody.blue.vrouter.local.", qtype="A"))
    packets["responseNobody"] = DNS(id=9, qr=1, aa=1, rd=1, ra=1, rcode=3, qd=DNSQR(qname="nobody.blue.vrouter.local.", qtype="A"), ns=(
        DNSRRSOA(rrname="blue.vrouter.local.", ttl=30, mname="gateway.blue.vrouter.local.", rname="hostmaster.blue.vrouter.local.", serial=1,
                 refresh=3600, retry=600, expire=86400, minimum=30)))

golden.write("make-golden-services.py", "GoldenServices", packets)
