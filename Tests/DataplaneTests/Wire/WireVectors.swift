/// Headers as scapy 2.5.0 builds them from the fields named in the comments: written by other code than the one under test.
enum WireVectors {
    /// Ether(dst, src, type=0x86dd).
    static let ethernet = octets("02000000020b02000000010a86dd")
    /// Dot1Q(vlan=100, prio=5, id=1, type=ARP) behind an Ethernet header.
    static let vlanFrame = octets("02000000020b02000000010a8100b0640806")
    /// 802.1ad tag 7, 802.1Q tag 100, IPv4.
    static let doubleTagged = octets("02000000020b02000000010a88a80007810000640800")
    /// ARP who-has 10.1.0.1.
    static let arp = octets("000108000604000102000000010a0a01000a0000000000000a010001")
    /// IP(tos=0xb9, len=48, id=0x1234, DF, ttl=63, UDP), 28 octets of payload.
    static let ipv4 = octets("45b90030123440003f115cc40a01000ac000020100000000000000000000000000000000000000000000000000000000")
    /// record route and a NOP, MF, offset 1480.
    static let ipv4Options = octets("48000024000120b90106bf020a01000ac0000201070b0400000000000000000161626364")
    /// IPv6(tc=0xb9, fl=0xabcde, plen=8, UDP, hlim=63).
    static let ipv6 = octets("6b9abcde0008113ffd00000100000000000000000000001020010db80000000000000000000000010000000000000000")
    /// hop-by-hop (8), destination options (16), fragment (first, more follow), UDP.
    static let ipv6Extensions = octets(
        """
        6000000000280040fd00000100000000000000000000001020010db80000000000000000000000013c000104000000002c01010c000000000000000000000000
        11000001deadbeef0001000200641111
        """)
    /// fragment at 1448, the last.
    static let ipv6LaterFragment = octets(
        """
        6000000000102c40fd00000100000000000000000000001020010db8000000000000000000000001110005a8deadbeef3132333435363738
        """)
    /// routing header with a segment left, UDP.
    static let ipv6Routing = octets(
        """
        6000000000202b40fd00000100000000000000000000001020010db8000000000000000000000001110200010000000020010db8000000000000000000000002
        0001000200082222
        """)
    /// authentication header with a 12-octet value, UDP.
    static let ipv6AH = octets(
        """
        6000000000203340fd00000100000000000000000000001020010db8000000000000000000000001110400000000000100000001aaaaaaaaaaaaaaaaaaaaaaaa
        0001000200083333
        """)
    /// UDP(sport=0xc123, dport=4789, len=12).
    static let udp = octets("c12312b5000cbeef64617461")
    /// TCP, flags ACK PSH URG ECE CWR.
    static let tcp = octets("c00000b301020304a1b2c3d450f87210cafe0005")
    /// SYN: NOP, MSS 8960, SACK permitted, timestamp, window scale.
    static let tcpOptions = octets("c00000500000000100000000a00220000000000001020423000402080a0000000100000000030307")
    /// echo request.
    static let icmpv4 = octets("0800e7161111000770696e6721")
    /// echo request fd00:1::10 to fd00:1::1, IPv6 header included.
    static let icmpv6Packet = octets("60000000000d3a40fd000001000000000000000000000010fd00000100000000000000000000000180004ea72222000970696e6736")
    /// neighbour solicitation for fd00:1::1 with source link-layer address.
    static let solicitation = octets("87007c7f00000000fd000001000000000000000000000001010102000000010a")
    /// neighbour advertisement, R S O, target link-layer address.
    static let advertisement = octets("88003f8be0000000fd000001000000000000000000000001020100005e000100")
    /// router solicitation with source link-layer address.
    static let routerSolicitation = octets("8500791400000000010102000000010a")
    /// VXLAN(vni=0xabcdef).
    static let vxlan = octets("08000000abcdef00")
    /// MPLS(label=0xfedcb, cos=5, s=1, ttl=62).
    static let mpls = octets("fedcbb3e")
    /// GRE(proto=0x8847).
    static let gre = octets("00008847")
    /// GRE with checksum, key and sequence number.
    static let greOptional = octets("b00065586e970000010203040000000978")
    /// IP/UDP with an odd payload.
    static let udp4Packet = octets("4500001f00010000401166ae0a01000a0a01001403e807d0000b0c9c6f6464")
    /// IPv6/TCP with an odd payload.
    static let tcp6Packet = octets(
        """
        60000000001b0640fd000001000000000000000000000010fd00000100000000000000000000002003e807d0000000050000000050102000fada000073657665
        6e3737
        """)
}
