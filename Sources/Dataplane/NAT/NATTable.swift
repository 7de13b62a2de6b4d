import NetTypes

/// The translations in force, compiled: an immutable record that workers ask about first packets, and nobody about any other. A change publishes a new one (`NATTables`).
///
/// - *Destinations*: one hash table finds the address of a VRF, and says what there is of it; only where there are ports a second one is asked for the port, and only where
///   there are ranges a sorted list is searched. So an address that is not translated costs one probe, and a VRF without translations a test.
/// - *Targets*: a power of two of buckets, each naming a backend (`ECMPBuckets`: who comes or goes takes no flow from those who stay).
/// - *Sources*: a hash table of hosts; prefixes in a list, the longest first.
///
/// Addresses of both families are 128 bits, IPv4 as ::ffff:a.b.c.d.
///
/// # Thread-safety
/// Immutable.
struct NATTable {
    struct Target {
        /// The first of its buckets, and of its backends.
        var firstBucket: UInt32 = 0, firstBackend: UInt32 = 0
        var backendCount: UInt16 = 0
        /// There are 1 << `bits` buckets; `noBackend`: nobody takes new flows.
        var bits: UInt8 = 0
        var isByClient = false
        static let noBackend: UInt8 = 255
    }

    struct Backend: Equatable {
        var address: IPv6Words
        var vrf: UInt32
        var port: UInt16
        var keepsAddress: Bool
        var keepsPort: Bool
    }

    struct Address {
        var address = IPv6Words(high: 0, low: 0)
        var vrf: UInt32 = 0
        var isUsed = false
        var hasPorts = false
        var hasAll = false
        var rangeCount: UInt16 = 0
        var firstRange: UInt32 = 0
        var all = Target()
    }

    struct Port {
        var address = IPv6Words(high: 0, low: 0)
        var vrf: UInt32 = 0
        var port: UInt16 = 0
        var proto: UInt8 = 0
        var isUsed = false
        var target = Target()
    }

    struct Range {
        var first: UInt16
        var last: UInt16
        var target: Target
    }

    struct Source {
        var address = IPv6Words(high: 0, low: 0)
        /// Leading bits of `address` that count, of 128.
        var length: UInt8 = 128
        var isUsed = false
        var hasPorts = false
        /// An IPv6 prefix such as ::/0 is not about IPv4, whose addresses lie in it.
        var isIPv4 = false
        var vrf: UInt32 = 0
        var outside: UInt32 = 0
        var external = IPv6Words(high: 0, low: 0)
        var firstPort: UInt16 = 0
        var lastPort: UInt16 = 0

        var portCount: Int { Int(lastPort) &- Int(firstPort) &+ 1 }
    }

    struct VRFs: OptionSet {
        let rawValue: UInt8
        static let destinations = VRFs(rawValue: 1), hosts = VRFs(rawValue: 2), prefixes = VRFs(rawValue: 4)
    }

    var vrfs: [VRFs]
    var addresses: [Address]
    var ports: [Port]
    var ranges: [Range]
    var buckets: [UInt16]
    var backends: [Backend]
    var hosts: [Source]
    var prefixes: [Source]
    let seed: UInt64

    var memoryBytes: Int {
        func size<Element>(_ list: [Element]) -> Int { list.count * MemoryLayout<Element>.stride }
        return size(vrfs) + size(addresses) + size(ports) + size(ranges) + size(buckets) + size(backends) + size(hosts) + size(prefixes)
    }
}

/// The same, as workers read it: where its parts lie. One block of memory, which `deallocate` frees.
struct NATReader {
    let base: UnsafeMutableRawPointer
    let vrfCount: Int
    let vrfs: UnsafeMutablePointer<NATTable.VRFs>
    let addresses: UnsafeMutablePointer<NATTable.Address>
    let addressMask: Int
    let ports: UnsafeMutablePointer<NATTable.Port>
    let portMask: Int
    let ranges: UnsafeMutablePointer<NATTable.Range>
    let buckets: UnsafeMutablePointer<UInt16>
    let backends: UnsafeMutablePointer<NATTable.Backend>
    let hosts: UnsafeMutablePointer<NATTable.Source>
    let hostMask: Int
    let prefixes: UnsafeMutablePointer<NATTable.Source>
    let prefixCount: Int
    let seed: UInt64
    let memoryBytes: Int

    init(_ table: NATTable) {
        var size = 0
        func place<Element>(_ list: [Element]) -> Int {
            let offset = (size + 63) & ~63
            size = offset + max(1, list.count) * MemoryLayout<Element>.stride
            return offset
        }
        let offsets = (
            place(table.vrfs), place(table.addresses), place(table.ports), place(table.ranges), place(table.buckets), place(table.backends),
            place(table.hosts), place(table.prefixes)
        )
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        func copy<Element>(_ list: [Element], _ offset: Int) -> UnsafeMutablePointer<Element> {
            let target = (memory + offset).bindMemory(to: Element.self, capacity: max(1, list.count))
            list.withUnsafeBufferPointer { if let from = $0.baseAddress { target.initialize(from: from, count: $0.count) } }
            return target
        }
        base = memory
        vrfCount = table.vrfs.count
        vrfs = copy(table.vrfs, offsets.0)
        addresses = copy(table.addresses, offsets.1)
        addressMask = table.addresses.count - 1
        ports = copy(table.ports, offsets.2)
        portMask = table.ports.count - 1
        ranges = copy(table.ranges, offsets.3)
        buckets = copy(table.buckets, offsets.4)
        backends = copy(table.backends, offsets.5)
        hosts = copy(table.hosts, offsets.6)
        hostMask = table.hosts.count - 1
        prefixes = copy(table.prefixes, offsets.7)
        prefixCount = table.prefixes.count
        seed = table.seed
        memoryBytes = size
    }

    func deallocate() { base.deallocate() }

    // MARK: Lookups

    /// Whether flows of the VRF for which it has no route may have another source.
    func translatesSources(_ vrf: UInt32) -> Bool { !flags(vrf).isDisjoint(with: [.hosts, .prefixes]) }
    @inline(__always) func flags(_ vrf: UInt32) -> NATTable.VRFs { Int(vrf) < vrfCount ? vrfs[Int(vrf)] : [] }

    @inline(__always) static func hash(_ address: IPv6Words, _ vrf: UInt32, _ rest: UInt32, _ seed: UInt64) -> Int {
        Int(
            truncatingIfNeeded: foldedMultiply(
                address.low ^ seed, address.high ^ (UInt64(vrf) &<< 32 | UInt64(rest)) ^ 0x9E37_79B9_7F4A_7C15))
    }

    /// What is sent to an address; nil: it is not translated.
    @inline(__always) func destination(_ vrf: UInt32, _ address: IPv6Words, proto: UInt8, port: UInt16) -> NATTable.Target? {
        var at = Self.hash(address, vrf, 0, seed) & addressMask
        while addresses[at].isUsed {
            if addresses[at].address == address, addresses[at].vrf == vrf { return target(addresses + at, proto, port) }
            at = (at &+ 1) & addressMask
        }
        return nil
    }

    private func target(_ found: UnsafeMutablePointer<NATTable.Address>, _ proto: UInt8, _ port: UInt16) -> NATTable.Target? {
        if found.pointee.hasPorts, proto == IPProtocol.tcp.rawValue || proto == IPProtocol.udp.rawValue {
            var at = Self.hash(found.pointee.address, found.pointee.vrf, UInt32(proto) &<< 16 | UInt32(port), seed) & portMask
            while ports[at].isUsed {
                if ports[at].port == port, ports[at].proto == proto, ports[at].address == found.pointee.address, ports[at].vrf == found.pointee.vrf {
                    return ports[at].target
                }
                at = (at &+ 1) & portMask
            }
        }
        if found.pointee.rangeCount > 0, FlowKey.hasTranslatablePorts(proto) {
            // The last that begins at or before the port.
            var low = 0, high = Int(found.pointee.rangeCount)
            while low < high {
                let middle = (low &+ high) / 2
                if ranges[Int(found.pointee.firstRange) &+ middle].first <= port { low = middle &+ 1 } else { high = middle }
            }
            let range = ranges + (Int(found.pointee.firstRange) &+ low &- 1)
            if low > 0, range.pointee.last >= port { return range.pointee.target }
        }
        return found.pointee.hasAll ? found.pointee.all : nil
    }

    /// The backend that a flow of this hash gets; nil: nobody takes new flows.
    @inline(__always) func backend(_ target: NATTable.Target, _ hash: UInt64) -> UnsafePointer<NATTable.Backend>? {
        let bits = target.bits
        if bits == NATTable.Target.noBackend { return nil }
        // Other bits than those that choose buckets and signatures in the flow table.
        let bucket = (hash &>> 16) & ((1 as UInt64) &<< UInt64(bits) &- 1)
        return UnsafePointer(backends + Int(target.firstBackend) + Int(buckets[Int(target.firstBucket) &+ Int(bucket)]))
    }

    /// The translation of what a source sends out of its VRF; nil: there is none. Hosts go before prefixes.
    func source(_ vrf: UInt32, _ flags: NATTable.VRFs, _ address: IPv6Words, isIPv4: Bool) -> UnsafePointer<NATTable.Source>? {
        if flags.contains(.hosts) {
            var at = Self.hash(address, vrf, 1, seed) & hostMask
            while hosts[at].isUsed {
                if hosts[at].address == address, hosts[at].vrf == vrf { return UnsafePointer(hosts + at) }
                at = (at &+ 1) & hostMask
            }
        }
        guard flags.contains(.prefixes) else { return nil }
        for at in 0..<prefixCount where prefixes[at].vrf == vrf && prefixes[at].isIPv4 == isIPv4 && prefixes[at].contains(address) {
            return UnsafePointer(prefixes + at)
        }
        return nil
    }
}

extension NATTable.Source {
    @inline(__always) func contains(_ other: IPv6Words) -> Bool {
        let length = UInt64(length)
        if length <= 64 { return length == 0 || (address.high ^ other.high) &>> (64 &- length) == 0 }
        return address.high == other.high && (address.low ^ other.low) &>> (128 &- length) == 0
    }
}

extension IPv6Words {
    init(_ address: IPAddress) {
        switch address {
        case .v4(let a): self.init(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(a.rawValue))
        case .v6(let a): self.init(high: a.high, low: a.low)
        }
    }
}

extension FlowKey {
    /// TCP, UDP, and ICMP echo, whose identifier stands for both ports.
    static func hasTranslatablePorts(_ proto: UInt8) -> Bool {
        proto == IPProtocol.tcp.rawValue || proto == IPProtocol.udp.rawValue || proto == IPProtocol.icmp.rawValue
            || proto == IPProtocol.icmpv6.rawValue
    }

    private static let mapped: UInt64 = 0x0000_FFFF_0000_0000

    /// As 128 bits, IPv4 as ::ffff:a.b.c.d.
    @inline(__always) var sourceWords: IPv6Words {
        get { family == 4 ? IPv6Words(high: 0, low: Self.mapped | a0 &>> 32) : IPv6Words(high: a0, low: a1) }
        set { if family == 4 { a0 = a0 & 0xFFFF_FFFF | newValue.low &<< 32 } else { (a0, a1) = (newValue.high, newValue.low) } }
    }
    @inline(__always) var destinationWords: IPv6Words {
        get { family == 4 ? IPv6Words(high: 0, low: Self.mapped | a0 & 0xFFFF_FFFF) : IPv6Words(high: a2, low: a3) }
        set { if family == 4 { a0 = a0 & ~0xFFFF_FFFF | newValue.low & 0xFFFF_FFFF } else { (a2, a3) = (newValue.high, newValue.low) } }
    }
    /// An echo: one identifier in place of two ports.
    @inline(__always) var isEcho: Bool {
        (proto == IPProtocol.icmp.rawValue || proto == IPProtocol.icmpv6.rawValue) && sourcePort == destinationPort
    }
}
