import NetTypes

/// ICMP errors: each is about a packet that it quotes, and shares the fate of that packet's flow (RFC 5508 sections 4 to 6, RFC 4443 section 2.4).
///
/// Errors go to whom they quote (RFC 1122 section 3.2.2, RFC 4443 section 2.2). One for somebody else is a packet like any: else who may talk to one could send to all, with a quote of that.
///
/// - Input: an ICMP or ICMPv6 error of a vif that keeps flows.
/// - Output: true: the quoted packet's flow is known; the error is counted in it, and, where the flow translates, translated, its quote too. False: nothing is known, and it is treated
///   like any packet.
/// - Drops: flowActionDrop; checksumError: of an error that would have been translated.
extension Worker {
    @inline(never) func followQuoted(_ packet: UnsafeMutablePointer<Packet>) -> Bool {
        guard let quoted = quotedKey(packet), isAddressed(packet, toSourceOf: quoted) else { return false }
        var key = quoted.reversed
        let flows = tables.flows.reader
        if let fat = tables.fat.load() { _ = fat.pointee.mask(&key) }
        let index = flows.lookup(&key, hash: flows.hash(&key))
        guard index != FlowTable.none else { return false }
        let entry = flows.entry(index)
        entry.count(bytes: packet.pointee.length, now: milliseconds)
        packet.pointee.flow = index
        switch entry.action {
        case FlowAction.forward.rawValue: break
        case FlowAction.nat.rawValue: if !translateQuote(packet, key, entry) { packet.pointee.settle(.drop(.checksumError)) }
        default: packet.pointee.settle(.drop(.flowActionDrop))
        }
        return true
    }

    private func isAddressed(_ packet: UnsafePointer<Packet>, toSourceOf quoted: FlowKey) -> Bool {
        guard packet.pointee.family == .ipv4 else {
            return IPv6(packet.pointee.network).destination == IPv6Address(high: quoted.a0, low: quoted.a1)
        }
        return IPv4(packet.pointee.network).destination == UInt32(truncatingIfNeeded: quoted.a0 >> 32)
    }

    private static let quoteOffset = ICMPv4.size

    /// The key of the quoted packet; nil: too little of it is there, or it has no ports.
    private func quotedKey(_ packet: UnsafePointer<Packet>) -> FlowKey? {
        let quote = packet.pointee.transport + Self.quoteOffset
        let available = packet.pointee.length &- Int(packet.pointee.l4) &- Self.quoteOffset
        let header: Int, proto: IPProtocol
        if packet.pointee.family == .ipv4 {
            // A quote is shorter than the packet whose length it states.
            guard available >= IPv4.size, quote.octet(0) >> 4 == 4 else { return nil }
            let ip = IPv4(quote)
            guard ip.headerLength >= IPv4.size, !ip.isLaterFragment else { return nil }
            (header, proto) = (ip.headerLength, ip.proto)
        } else {
            guard available >= IPv6.size, quote.octet(0) >> 4 == 6 else { return nil }
            (header, proto) = (IPv6.size, IPv6(quote).nextHeader)
        }
        guard available >= header &+ 8 else { return nil }
        let transport = quote + header
        let ports: (UInt16, UInt16)
        switch proto {
        case .tcp, .udp, .sctp, .dccp, .udpLite: ports = (transport.word16(0), transport.word16(2))
        case .icmp where packet.pointee.family == .ipv4 && (transport.octet(0) == 8 || transport.octet(0) == 0),
            .icmpv6 where packet.pointee.family == .ipv6 && (transport.octet(0) == 128 || transport.octet(0) == 129):
            ports = (transport.word16(4), transport.word16(4))
        default: return nil
        }
        return FlowKey(
            vrf: packet.pointee.vrf, proto: proto.rawValue, isIPv4: packet.pointee.family == .ipv4, header: quote, sourcePort: ports.0,
            destinationPort: ports.1)
    }

    /// The error goes where the flow's packets of its direction go; what it quotes becomes what its receiver had sent (RFC 5508 section 4.2). False: its checksum was wrong.
    private func translateQuote(_ packet: UnsafeMutablePointer<Packet>, _ key: FlowKey, _ entry: UnsafeMutablePointer<FlowEntry>) -> Bool {
        let message = packet.pointee.transport, length = packet.pointee.length &- Int(packet.pointee.l4)
        let new = tables.flows.reader.entry(entry.reverse).copy().key.reversed
        let quote = message + Self.quoteOffset
        // What the quoted packet was before it was translated: it went the other way.
        let rewrite = FlowRewrite(key.reversed, becomes: new.reversed)
        // Where replies go, which is not always where the other direction's packets come from.
        let vrf = entry.translation.vrf
        if packet.pointee.flags.contains(.tunneled) { leaveTunnel(packet, vrf) }
        packet.pointee.vrf = vrf
        if packet.pointee.family == .ipv4 {
            guard Checksum.finish(Checksum.sum(message, length)) == 0 else { return false }
            let ip = IPv4(packet.pointee.network), inner = IPv4(quote)
            // From a router on the way it keeps its source; from the far end it gets the one the flow shows.
            let isFromEnd = ip.source == UInt32(truncatingIfNeeded: key.a0 >> 32)
            if isFromEnd { ip.source = UInt32(truncatingIfNeeded: new.a0 >> 32) }
            ip.destination = UInt32(truncatingIfNeeded: new.a0)
            ip.updateChecksum()
            quote.set(12, word64: rewrite.addresses)
            inner.checksum = FlowRewrite.update(inner.checksum, by: rewrite.networkSum)
            translateQuotedTransport(quote + inner.headerLength, length &- Self.quoteOffset &- inner.headerLength, key.proto, rewrite)
            ICMPv4(message).updateChecksum(length: length)
            return true
        }
        let ip = IPv6(packet.pointee.network), inner = IPv6(quote)
        let pseudo = Checksum.pseudoHeader(source: ip.source, destination: ip.destination, proto: .icmpv6, length: length)
        guard Checksum.finish(Checksum.sum(message, length) &+ pseudo) == 0 else { return false }
        if ip.source == IPv6Address(high: key.a0, low: key.a1) { ip.source = IPv6Address(high: new.a0, low: new.a1) }
        ip.destination = IPv6Address(high: new.a2, low: new.a3)
        inner.source = IPv6Address(high: new.a2, low: new.a3)
        inner.destination = IPv6Address(high: new.a0, low: new.a1)
        translateQuotedTransport(quote + IPv6.size, length &- Self.quoteOffset &- IPv6.size, key.proto, rewrite)
        message.set(2, word16: 0)
        let sum =
            Checksum.sum(message, length) &+ Checksum.pseudoHeader(source: ip.source, destination: ip.destination, proto: .icmpv6, length: length)
        message.set(2, word16: Checksum.finish(sum))
        return true
    }

    /// Of a quoted transport header at least 8 octets are there; a TCP checksum only in a longer one.
    private func translateQuotedTransport(_ p: UnsafeMutableRawPointer, _ available: Int, _ proto: UInt8, _ rewrite: FlowRewrite) {
        switch proto {
        case IPProtocol.udp.rawValue:
            p.set(0, word32: rewrite.ports)
            if p.word16(6) != 0 { p.set(6, word16: FlowRewrite.update(p.word16(6), by: rewrite.transportSum)) }
        case IPProtocol.tcp.rawValue:
            p.set(0, word32: rewrite.ports)
            if available >= 18 { p.set(16, word16: FlowRewrite.update(p.word16(16), by: rewrite.transportSum)) }
        case IPProtocol.sctp.rawValue, IPProtocol.dccp.rawValue, IPProtocol.udpLite.rawValue:
            translateRare(p, proto, rewrite.ports, rewrite.transportSum)
        default:
            p.set(4, word16: UInt16(truncatingIfNeeded: rewrite.ports))
            p.set(2, word16: FlowRewrite.update(p.word16(2), by: rewrite.transportSum))
        }
    }
}
