/// Extension headers of IPv6 (RFC 8200 section 4, RFC 6564 for the uniform shape, RFC 4302 section 2.2 for AH's length).
extension IPv6 {
    /// Where the extension headers lead.
    struct Headers: Equatable {
        enum Outcome: UInt8 {
            /// `proto` and `offset` name the upper-layer header. It may still be cut short.
            case upperLayer
            /// No upper-layer header in this packet: a later fragment. `proto` is that of the fragment header.
            case laterFragment
            /// A header runs past the packet, or there are more than `maximumCount`: the packet is malformed or hostile.
            case malformed
        }
        var outcome = Outcome.malformed
        var proto = IPProtocol.noNextHeader
        /// Octets from the IPv6 header to the upper-layer header (for a later fragment: to its data).
        var offset = 0
        /// Octets from the IPv6 header to the fragment header; 0: there is none.
        var fragmentHeader = 0
        /// Octets, of this piece in the original payload.
        var fragmentOffset = 0
        var moreFragments = false
        var identification: UInt32 = 0
        /// True when a routing header still has segments to visit: then the destination is not the final one, and checksums use another.
        var hasSegmentsLeft = false
        /// One of several pieces. An atomic fragment (RFC 6946: offset 0, none follows) is not.
        var isFragment: Bool { fragmentOffset != 0 || moreFragments }
    }

    /// Headers more than these are refused: a packet needs at most one of each, twice for destination options.
    static let maximumExtensionCount = 8

    /// Walks the chain of a packet that passed `check`. Reads only inside `totalLength`.
    @inline(__always) func headers() -> Headers {
        var result = Headers()
        result.proto = nextHeader
        result.offset = IPv6.size
        // The usual packet has no extension header.
        if result.proto == .tcp || result.proto == .udp || result.proto == .icmpv6 {
            result.outcome = .upperLayer
            return result
        }
        walk(&result)
        return result
    }

    private func walk(_ result: inout Headers) {
        let end = totalLength
        var count = 0
        while count <= IPv6.maximumExtensionCount {
            let header = p + result.offset
            let length: Int
            switch result.proto {
            case .hopByHop, .routing, .destinationOptions, .mobility, .hip, .shim6:
                guard result.offset &+ 8 <= end else { return }
                length = (Int(header.octet(1)) &+ 1) &* 8
                if result.proto == .routing, header.octet(3) != 0 { result.hasSegmentsLeft = true }
            case .ah:
                guard result.offset &+ 8 <= end else { return }
                length = (Int(header.octet(1)) &+ 2) &* 4
            case .fragment:
                // A second fragment header would be a fragment of a fragment.
                guard result.offset &+ 8 <= end, result.fragmentHeader == 0 else { return }
                length = 8
                result.fragmentHeader = result.offset
                result.fragmentOffset = Int(header.word16(2) & 0xFFF8)
                result.moreFragments = header.octet(3) & 1 != 0
                result.identification = header.word32(4)
            default:
                result.outcome = .upperLayer
                return
            }
            guard result.offset &+ length <= end else { return }
            result.proto = IPProtocol(header.octet(0))
            result.offset &+= length
            if result.fragmentOffset != 0 {
                result.outcome = .laterFragment
                return
            }
            count &+= 1
        }
    }
}
