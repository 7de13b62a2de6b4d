import NetTypes

/// Wire/: headers as views over raw memory.
///
/// Each file holds one format in two forms: a *view*, a struct around a pointer whose properties read and write the header in
/// place, and `Fields`, a small value with `emit(to:)` for building one. A view's only failable step is
/// `check(_:available:)`; what it guarantees is said in each file, and no property reads or writes outside what it guaranteed.
/// The layer makes no judgement of content: it knows octets, not routes.
///
/// All numbers are in host order. An IPv4 address is a `UInt32` (10.0.0.1 is 0x0a000001), a MAC address the low 48 bits of a
/// `UInt64`, an IPv6 address two 64-bit halves. Nothing is assumed about alignment.
///
/// # Thread-safety
/// Views are plain pointers: who owns the packet's buffer owns the view.
extension UnsafeRawPointer {
    @inline(__always) func octet(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }
    @inline(__always) func word16(_ offset: Int) -> UInt16 { UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    @inline(__always) func word32(_ offset: Int) -> UInt32 { UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    @inline(__always) func word64(_ offset: Int) -> UInt64 { UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    /// Six octets, never a seventh.
    @inline(__always) func word48(_ offset: Int) -> UInt64 { UInt64(word32(offset)) << 16 | UInt64(word16(offset &+ 4)) }
    @inline(__always) func ipv6(_ offset: Int) -> IPv6Address { IPv6Address(high: word64(offset), low: word64(offset &+ 8)) }
}

extension UnsafeMutableRawPointer {
    @inline(__always) func octet(_ offset: Int) -> UInt8 { UnsafeRawPointer(self).octet(offset) }
    @inline(__always) func word16(_ offset: Int) -> UInt16 { UnsafeRawPointer(self).word16(offset) }
    @inline(__always) func word32(_ offset: Int) -> UInt32 { UnsafeRawPointer(self).word32(offset) }
    @inline(__always) func word64(_ offset: Int) -> UInt64 { UnsafeRawPointer(self).word64(offset) }
    @inline(__always) func word48(_ offset: Int) -> UInt64 { UnsafeRawPointer(self).word48(offset) }
    @inline(__always) func ipv6(_ offset: Int) -> IPv6Address { UnsafeRawPointer(self).ipv6(offset) }

    @inline(__always) func set(_ offset: Int, octet value: UInt8) { storeBytes(of: value, toByteOffset: offset, as: UInt8.self) }
    @inline(__always) func set(_ offset: Int, word16 value: UInt16) { storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self) }
    @inline(__always) func set(_ offset: Int, word32 value: UInt32) { storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self) }
    @inline(__always) func set(_ offset: Int, word64 value: UInt64) { storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self) }
    @inline(__always) func set(_ offset: Int, word48 value: UInt64) {
        set(offset, word32: UInt32(truncatingIfNeeded: value >> 16))
        set(offset &+ 4, word16: UInt16(truncatingIfNeeded: value))
    }
    @inline(__always) func set(_ offset: Int, ipv6 value: IPv6Address) {
        set(offset, word64: value.high)
        set(offset &+ 8, word64: value.low)
    }
}

extension IPv6Address {
    /// `==` of another module is a call; this is two comparisons.
    @inline(__always) func isSame(as other: IPv6Address) -> Bool { high == other.high && low == other.low }
    @inline(__always) var isUnspecified: Bool { high | low == 0 }
    /// Link-local, or none yet (::): as a source, not to be forwarded. As `IPv4.isOfLink`.
    @inline(__always) var isOfLink: Bool { isLinkLocal || isUnspecified }
}
