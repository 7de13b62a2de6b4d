/// What a flow is recognised by: the 5-tuple and the VRF. 48 octets without padding between fields, so that two keys are compared word by word.
/// Addresses and ports are in host order.
struct FlowKey: Hashable, Sendable {
    var sourcePort: UInt16
    var destinationPort: UInt16
    var vrf: UInt32
    /// IPv4: source << 32 | destination, and the rest 0. IPv6: a0, a1 source; a2, a3 destination.
    var a0: UInt64
    var a1: UInt64
    var a2: UInt64
    var a3: UInt64
    /// IP protocol number.
    var proto: UInt8
    /// 4 or 6.
    var family: UInt8

    init(vrf: UInt32, proto: UInt8, ipv4Source: UInt32, ipv4Destination: UInt32, sourcePort: UInt16, destinationPort: UInt16) {
        self.vrf = vrf
        self.proto = proto
        family = 4
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        a0 = UInt64(ipv4Source) &<< 32 | UInt64(ipv4Destination)
        a1 = 0
        a2 = 0
        a3 = 0
    }

    init(vrf: UInt32, proto: UInt8, source: IPv6Words, destination: IPv6Words, sourcePort: UInt16, destinationPort: UInt16) {
        self.vrf = vrf
        self.proto = proto
        family = 6
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        a0 = source.high
        a1 = source.low
        a2 = destination.high
        a3 = destination.low
    }

    /// Addresses and ports exchanged, in the same VRF.
    var reversed: FlowKey {
        var key = self
        key.sourcePort = destinationPort
        key.destinationPort = sourcePort
        if family == 4 {
            key.a0 = a0 &<< 32 | a0 &>> 32
        } else {
            (key.a0, key.a1, key.a2, key.a3) = (a2, a3, a0, a1)
        }
        return key
    }

    /// Ports and VRF in one word; the last word is protocol and family.
    @inline(__always) var ports: UInt64 {
        UInt64(sourcePort) | UInt64(destinationPort) &<< 16 | UInt64(vrf) &<< 32
    }
    @inline(__always) var kind: UInt64 { UInt64(proto) | UInt64(family) &<< 8 }
}

/// The keyed hash of flows: multiply and fold, over secret words of this process. Who does not know the seed cannot choose
/// keys that meet in one bucket; see `FlowTable` for what happens to a bucket that is full all the same.
struct FlowHash: Sendable {
    private let s0 = randomSeed(), s1 = randomSeed(), s2 = randomSeed() | 1, s3 = randomSeed()

    @inline(__always) func callAsFunction(_ key: UnsafePointer<FlowKey>) -> UInt64 {
        let first = foldedMultiply(key.pointee.ports ^ s0, key.pointee.a0 ^ s1)
        guard key.pointee.family == 6 else { return foldedMultiply(first ^ key.pointee.kind, s2) }
        let second = foldedMultiply(key.pointee.a1 ^ s3, key.pointee.a2 ^ s0)
        return foldedMultiply(first ^ second ^ key.pointee.kind, (key.pointee.a3 ^ s1) &* s2 | 1)
    }
}
