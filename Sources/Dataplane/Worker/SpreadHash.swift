import CPlatform
import NetTypes

/// The hash by which received packets are spread over workers: of the 5-tuple of the innermost IP packet, equal in both directions, so that both directions of a flow come to
/// one worker, whether they arrive from a workload or in a tunnel (VXLAN, RFC 7348; MPLS over UDP, RFC 7510; MPLS over GRE, RFC 4023; over IPv4 or IPv6).
///
/// - Any fragment goes by addresses and protocol alone: later fragments have no ports, and all fragments of a packet must meet.
/// - What is not IP goes by its pair of MAC addresses; ARP and what cannot be parsed stays where it arrived (0).
/// - A tunnel packet to anyone's address counts as a tunnel packet: at worst it is spread by its payload.
/// - The hash is keyed with a secret of the process: nobody outside can aim flows at one worker.
///
/// Nothing about the octets is trusted; nothing is decided here but where a packet is processed.
struct SpreadHash: Sendable {
    private let s0 = randomSeed(), s1 = randomSeed() | 1, s2 = randomSeed()

    /// 0: process it where it was received. `usesPortHash`: a hash by the port (RSS) stands for one of ours, unless the packet is a tunnel's.
    func callAsFunction(_ frame: vr_frame, usesPortHash: Bool) -> UInt32 {
        let start = UnsafeRawPointer(frame.start), length = Int(frame.length)
        guard length >= Ethernet.size else { return 0 }
        var at = Ethernet.size, type = start.word16(12)
        if type == 0x8100 || type == 0x88A8 { (at, type) = tagged(start, length) }
        if type == 0x0806 { return 0 }
        guard type == 0x0800 || type == 0x86DD else { return stations(start) }
        let outer = header(start + at, length &- at)
        guard outer.isIP else { return 0 }
        if outer.isPlain, let inner = payload(of: outer) {
            return inner.isEthernet ? ethernet(inner.start, inner.length) : network(inner.start, inner.length)
        }
        if usesPortHash, frame.hash != 0 { return frame.hash }
        return finish(outer)
    }

    // MARK: Layers

    private struct Header {
        var isIP = false
        /// IPv4 without options' bearing on anything here: whole, not a fragment.
        var isPlain = false
        var proto: UInt8 = 0
        /// Symmetric mixtures of the two addresses.
        var sum: UInt64 = 0
        var difference: UInt64 = 0
        var transport = UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        var left = 0
    }

    @inline(__always) private func header(_ ip: UnsafeRawPointer, _ available: Int) -> Header {
        var out = Header()
        guard available >= 20 else { return out }
        if ip.octet(0) >> 4 == 4 {
            let size = Int(ip.octet(0) & 15) &* 4
            guard size >= 20, available >= size else { return out }
            let source = UInt64(ip.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
            let destination = UInt64(ip.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
            out.isIP = true
            out.sum = source &+ destination
            out.difference = source ^ destination
            out.proto = ip.octet(9)
            // More fragments, or an offset.
            out.isPlain = ip.word16(6) & 0x3FFF == 0
            out.transport = ip + size
            out.left = available &- size
            return out
        }
        guard ip.octet(0) >> 4 == 6, available >= 40 else { return out }
        let source = (ip.loadUnaligned(fromByteOffset: 8, as: UInt64.self), ip.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        let destination = (ip.loadUnaligned(fromByteOffset: 24, as: UInt64.self), ip.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
        out.isIP = true
        out.sum = source.0 &+ destination.0 &+ (source.1 &+ destination.1) &* 0x9E37_79B9_7F4A_7C15
        out.difference = (source.0 ^ destination.0) &* 0xC2B2_AE3D_27D4_EB4F ^ source.1 ^ destination.1
        out.proto = ip.octet(6)
        // A packet with extension headers goes by its addresses, its fragments with it.
        out.isPlain = out.proto == IPProtocol.udp.rawValue || out.proto == IPProtocol.tcp.rawValue || out.proto == IPProtocol.gre.rawValue
        out.transport = ip + 40
        out.left = available &- 40
        return out
    }

    /// What a tunnel packet carries; nil: it is none.
    @inline(__always) private func payload(of outer: Header) -> (start: UnsafeRawPointer, length: Int, isEthernet: Bool)? {
        if outer.proto == IPProtocol.udp.rawValue {
            guard outer.left > 16 else { return nil }
            switch outer.transport.word16(2) {
            case UDP.vxlanPort: return (outer.transport + 16, outer.left &- 16, true)
            case UDP.mplsPort where outer.transport.octet(10) & 1 == 1: return (outer.transport + 12, outer.left &- 12, false)
            default: return nil
            }
        }
        guard outer.proto == IPProtocol.gre.rawValue, outer.left >= 12, outer.transport.word16(2) == 0x8847 else { return nil }
        // Checksum, key and sequence number, where their flags say so (RFC 2784, RFC 2890).
        let flags = outer.transport.octet(0)
        let size = 4 &+ Int(flags >> 7 & 1) &* 4 &+ Int(flags >> 5 & 1) &* 4 &+ Int(flags >> 4 & 1) &* 4
        guard outer.left > size &+ 4, outer.transport.octet(size &+ 2) & 1 == 1 else { return nil }
        return (outer.transport + size + 4, outer.left &- size &- 4, false)
    }

    private func ethernet(_ frame: UnsafeRawPointer, _ length: Int) -> UInt32 {
        guard length >= Ethernet.size else { return 0 }
        switch frame.word16(12) {
        case 0x0806: return 0
        case 0x0800, 0x86DD: return network(frame + Ethernet.size, length &- Ethernet.size)
        default: return stations(frame)
        }
    }

    private func network(_ ip: UnsafeRawPointer, _ length: Int) -> UInt32 {
        let inner = header(ip, length)
        return inner.isIP ? finish(inner) : 0
    }

    private func finish(_ header: Header) -> UInt32 {
        var ports: UInt64 = 0
        if header.isPlain, header.left >= 4, header.proto == IPProtocol.udp.rawValue || header.proto == IPProtocol.tcp.rawValue {
            let source = UInt64(header.transport.word16(0)), destination = UInt64(header.transport.word16(2))
            ports = (source &+ destination) | (source ^ destination) &<< 20
        }
        return mix(header.sum, header.difference &* 0xFF51_AFD7_ED55_8CCD ^ ports &<< 8 ^ UInt64(header.proto))
    }

    private func stations(_ frame: UnsafeRawPointer) -> UInt32 {
        let first = UInt64(frame.loadUnaligned(as: UInt32.self)) | UInt64(frame.word16(4)) &<< 32
        let second = UInt64(frame.loadUnaligned(fromByteOffset: 6, as: UInt32.self)) | UInt64(frame.word16(10)) &<< 32
        return mix(first &+ second, first ^ second)
    }

    private func mix(_ a: UInt64, _ b: UInt64) -> UInt32 {
        // A last round with a constant factor, as sums and differences of neighbouring ports and addresses leave a pattern after two.
        let hash = foldedMultiply(foldedMultiply(a ^ s0, s1) ^ b, s2 | 1)
        return UInt32(truncatingIfNeeded: ((hash ^ hash &>> 32) &* 0xD6E8_FEB8_6659_FD93) &>> 32) | 1
    }

    /// Behind one or two VLAN tags.
    @inline(never) private func tagged(_ start: UnsafeRawPointer, _ length: Int) -> (at: Int, type: UInt16) {
        guard length >= Ethernet.size + 4 else { return (length, 0x0806) }
        let type = start.word16(16)
        guard type == 0x8100 else { return (Ethernet.size + 4, type) }
        return length >= Ethernet.size + 8 ? (Ethernet.size + 8, start.word16(20)) : (length, 0x0806)
    }
}
