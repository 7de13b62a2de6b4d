public import NetTypes

/// Addresses, protocol and ports of a frame's first octets, for people: the drop log, the packet trace, `vifdump`. Reads no further than it was given, believes no length field.
public struct FrameSummary: Hashable, Sendable {
    public var destinationMAC: MACAddress?
    public var sourceMAC: MACAddress?
    /// VLAN ids, outermost first.
    public var vlans: [UInt16] = []
    /// EtherType after the tags.
    public var etherType: UInt16 = 0
    public var source: IPAddress?
    public var destination: IPAddress?
    /// IP protocol; after the IPv6 extension headers that were given.
    public var proto: UInt8?
    public var sourcePort: UInt16?
    public var destinationPort: UInt16?

    public init(_ octets: [UInt8]) {
        func word16(_ at: Int) -> UInt16? { at + 2 <= octets.count ? UInt16(octets[at]) << 8 | UInt16(octets[at + 1]) : nil }
        func mac(_ at: Int) -> MACAddress? {
            at + 6 <= octets.count ? MACAddress(rawValue: octets[at..<at + 6].reduce(0) { $0 << 8 | UInt64($1) }) : nil
        }
        func address(_ at: Int, _ size: Int) -> IPAddress? { at + size <= octets.count ? IPAddress(bytes: octets[at..<at + size]) : nil }
        destinationMAC = mac(0)
        sourceMAC = mac(6)
        var at = 12
        while let type = word16(at), type == 0x8100 || type == 0x88A8, vlans.count < 2 {
            if let tag = word16(at + 2) { vlans.append(tag & 0xFFF) }
            at += 4
        }
        etherType = word16(at) ?? 0
        at += 2
        var transport: Int?
        switch etherType {
        case 0x0800 where at < octets.count && octets[at] >> 4 == 4:
            source = address(at + 12, 4)
            destination = address(at + 16, 4)
            proto = at + 9 < octets.count ? octets[at + 9] : nil
            // A later fragment has no ports.
            if let fragment = word16(at + 6), fragment & 0x1FFF == 0 { transport = at + Int(octets[at] & 15) * 4 }
        case 0x86DD where at < octets.count && octets[at] >> 4 == 6:
            source = address(at + 8, 16)
            destination = address(at + 24, 16)
            var next = at + 6 < octets.count ? octets[at + 6] : nil
            at += 40
            transport = at
            while let type = next, [0, 43, 44, 60].contains(type), at + 2 <= octets.count {
                if type == 44, let fragment = word16(at + 2), fragment & 0xFFF8 != 0 { transport = nil }
                next = octets[at]
                at += type == 44 ? 8 : (Int(octets[at + 1]) + 1) * 8
                if transport != nil { transport = at }
                if transport == nil { break }
            }
            proto = next
        case 0x0806:
            source = address(at + 14, 4)
            destination = address(at + 24, 4)
        default: break
        }
        if let transport, let proto, [6, 17, 132].contains(proto) {
            sourcePort = word16(transport)
            destinationPort = word16(transport + 2)
        }
    }
}
