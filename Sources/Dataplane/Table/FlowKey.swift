/// What a flow is recognised by: the 5-tuple and the VRF. 48 octets without padding between fields, so that two keys are compared word by word.
/// Addresses and ports are in host order.
///
/// Ports and VRF are one word, and so are protocol and family: what is written as one word can be read as one at once, while a processor that has to gather
/// a load from several stores waits for all of them.
struct FlowKey: Hashable, Sendable {
    /// Source port, destination port above it, VRF in the upper half.
    private(set) var ports: UInt64
    /// IPv4: source << 32 | destination, and the rest 0. IPv6: a0, a1 source; a2, a3 destination.
    var a0: UInt64
    var a1: UInt64
    var a2: UInt64
    var a3: UInt64
    /// IP protocol number, and 4 or 6 above it.
    private(set) var kind: UInt16

    var sourcePort: UInt16 {
        get { UInt16(truncatingIfNeeded: ports) }
        set { ports = ports & ~0xFFFF | UInt64(newValue) }
    }
    var destinationPort: UInt16 {
        get { UInt16(truncatingIfNeeded: ports &>> 16) }
        set { ports = ports & ~0xFFFF_0000 | UInt64(newValue) &<< 16 }
    }
    var vrf: UInt32 {
        get { UInt32(truncatingIfNeeded: ports &>> 32) }
        set { ports = ports & 0xFFFF_FFFF | UInt64(newValue) &<< 32 }
    }
    var proto: UInt8 {
        get { UInt8(truncatingIfNeeded: kind) }
        set { kind = kind & 0xFF00 | UInt16(newValue) }
    }
    var family: UInt8 {
        get { UInt8(truncatingIfNeeded: kind &>> 8) }
        set { kind = kind & 0x00FF | UInt16(newValue) &<< 8 }
    }

    /// All of it, as the table keeps it.
    @inline(__always) init(
        vrf: UInt32, proto: UInt8, family: UInt8, a0: UInt64, a1: UInt64, a2: UInt64, a3: UInt64, sourcePort: UInt16, destinationPort: UInt16
    ) {
        ports = UInt64(sourcePort) | UInt64(destinationPort) &<< 16 | UInt64(vrf) &<< 32
        (self.a0, self.a1, self.a2, self.a3) = (a0, a1, a2, a3)
        kind = UInt16(proto) | UInt16(family) &<< 8
    }

    @inline(__always) init(
        vrf: UInt32, proto: UInt8, ipv4Source: UInt32, ipv4Destination: UInt32, sourcePort: UInt16, destinationPort: UInt16
    ) {
        self.init(
            vrf: vrf, proto: proto, family: 4, a0: UInt64(ipv4Source) &<< 32 | UInt64(ipv4Destination), a1: 0, a2: 0, a3: 0,
            sourcePort: sourcePort, destinationPort: destinationPort)
    }

    /// Addresses and ports each as one word, in host order: what lies side by side in a packet's headers, source first.
    @inline(__always) init(vrf: UInt32, proto: UInt8, ipv4Addresses: UInt64, ports: UInt32) {
        self.ports = UInt64(vrf) &<< 32 | UInt64(ports &<< 16 | ports &>> 16)
        a0 = ipv4Addresses
        (a1, a2, a3) = (0, 0, 0)
        kind = UInt16(proto) | 0x0400
    }

    @inline(__always) init(
        vrf: UInt32, proto: UInt8, source: IPv6Words, destination: IPv6Words, sourcePort: UInt16, destinationPort: UInt16
    ) {
        self.init(
            vrf: vrf, proto: proto, family: 6, a0: source.high, a1: source.low, a2: destination.high, a3: destination.low, sourcePort: sourcePort,
            destinationPort: destinationPort)
    }

    /// Addresses and ports exchanged, in the same VRF.
    var reversed: FlowKey {
        var key = self
        key.ports = ports & 0xFFFF_FFFF_0000_0000 | ports &>> 16 & 0xFFFF | (ports & 0xFFFF) &<< 16
        if family == 4 {
            key.a0 = a0 &<< 32 | a0 &>> 32
        } else {
            (key.a0, key.a1, key.a2, key.a3) = (a2, a3, a0, a1)
        }
        return key
    }
}

/// The keyed hash of flows: multiply and fold, over secret words of this process. Who does not know the seed cannot choose
/// keys that meet in one bucket; see `FlowTable` for what happens to a bucket that is full all the same.
struct FlowHash: Sendable {
    private let s0 = randomSeed(), s1 = randomSeed(), s2 = randomSeed() | 1, s3 = randomSeed()

    @inline(__always) func callAsFunction(_ key: UnsafePointer<FlowKey>) -> UInt64 {
        let first = foldedMultiply(key.pointee.ports ^ s0, key.pointee.a0 ^ s1)
        guard key.pointee.family == 6 else { return foldedMultiply(first ^ UInt64(key.pointee.kind), s2) }
        let second = foldedMultiply(key.pointee.a1 ^ s3, key.pointee.a2 ^ s0)
        return foldedMultiply(first ^ second ^ UInt64(key.pointee.kind), (key.pointee.a3 ^ s1) &* s2 | 1)
    }
}
