import NetTypes

/// Rules into a table. Linear in what there is of rules and backends.
///
/// # Thread-safety
/// Pure.
enum NATCompiler {
    /// `buckets`: of each rule whose backends share its flows, which takes which.
    static func compile(_ rules: [NATRuleSpec], buckets: (NATRuleID) -> [NextHop.Member], seed: UInt64) -> NATTable {
        var table = NATTable(vrfs: [], addresses: [], ports: [], ranges: [], buckets: [], backends: [], hosts: [], prefixes: [], seed: seed)
        struct Place: Hashable {
            var vrf: UInt32
            var address: IPv6Words
        }
        var addresses: [Place: NATTable.Address] = [:], ranges: [Place: [NATTable.Range]] = [:], ports: [NATTable.Port] = []
        var hosts: [NATTable.Source] = []
        for rule in rules {
            switch rule.kind {
            case .destination(let destination):
                let place = Place(vrf: destination.vrf.rawValue, address: IPv6Words(destination.address))
                mark(destination.vrf, .destinations, &table)
                let target = target(destination, buckets(rule.id), &table)
                var entry = addresses[place] ?? NATTable.Address(address: place.address, vrf: place.vrf, isUsed: true)
                switch destination.match {
                case .all:
                    entry.hasAll = true
                    entry.all = target
                case .port(let proto, let port):
                    entry.hasPorts = true
                    ports.append(
                        NATTable.Port(address: place.address, vrf: place.vrf, port: port, proto: proto, isUsed: true, target: target))
                case .range(let range):
                    ranges[place, default: []].append(NATTable.Range(first: range.lowerBound, last: range.upperBound, target: target))
                }
                addresses[place] = entry
            case .source(let source):
                let isIPv4 = source.prefix.isIPv4
                var entry = NATTable.Source(
                    address: IPv6Words(source.prefix.address), length: UInt8(source.prefix.length + (isIPv4 ? 96 : 0)), isUsed: true,
                    isIPv4: isIPv4, vrf: source.vrf.rawValue, outside: source.outside.rawValue, external: IPv6Words(source.address))
                if let range = source.ports {
                    entry.hasPorts = true
                    (entry.firstPort, entry.lastPort) = (range.lowerBound, range.upperBound)
                }
                mark(source.vrf, source.prefix.isHost ? .hosts : .prefixes, &table)
                if source.prefix.isHost { hosts.append(entry) } else { table.prefixes.append(entry) }
            }
        }
        for (place, list) in ranges {
            addresses[place]?.firstRange = UInt32(table.ranges.count)
            addresses[place]?.rangeCount = UInt16(clamping: list.count)
            table.ranges += list.sorted { $0.first < $1.first }
        }
        table.prefixes.sort { ($0.length, $0.address.high, $0.address.low) > ($1.length, $1.address.high, $1.address.low) }
        table.addresses = hashed(Array(addresses.values), NATTable.Address()) {
            NATReader.hash($0.address, $0.vrf, 0, seed)
        } isUsed: {
            $0.isUsed
        }
        table.ports = hashed(ports, NATTable.Port()) {
            NATReader.hash($0.address, $0.vrf, UInt32($0.proto) << 16 | UInt32($0.port), seed)
        } isUsed: {
            $0.isUsed
        }
        table.hosts = hashed(hosts, NATTable.Source()) {
            NATReader.hash($0.address, $0.vrf, 1, seed)
        } isUsed: {
            $0.isUsed
        }
        return table
    }

    private static func mark(_ vrf: VRFID, _ what: NATTable.VRFs, _ table: inout NATTable) {
        let index = Int(vrf.rawValue)
        if index >= table.vrfs.count { table.vrfs += Array(repeating: [], count: index + 1 - table.vrfs.count) }
        table.vrfs[index].insert(what)
    }

    private static func target(_ rule: NATRuleSpec.Destination, _ buckets: [NextHop.Member], _ table: inout NATTable) -> NATTable.Target {
        var target = NATTable.Target(
            firstBucket: UInt32(table.buckets.count), firstBackend: UInt32(table.backends.count), backendCount: UInt16(rule.backends.count),
            isByClient: rule.affinity == .client)
        for backend in rule.backends {
            table.backends.append(
                NATTable.Backend(
                    address: backend.address.map { IPv6Words($0) } ?? IPv6Words(high: 0, low: 0), vrf: backend.vrf.rawValue, port: backend.port ?? 0,
                    keepsAddress: backend.address == nil, keepsPort: backend.port == nil))
        }
        if buckets.isEmpty {
            target.bits = NATTable.Target.noBackend
        } else {
            target.bits = UInt8(buckets.count.trailingZeroBitCount)
            table.buckets += buckets.map { UInt16($0.nextHop) }
        }
        return target
    }

    /// Open addressing: a power of two of slots, at most half of them in use.
    private static func hashed<Entry>(_ entries: [Entry], _ free: Entry, _ hash: (Entry) -> Int, isUsed: (Entry) -> Bool) -> [Entry] {
        var size = 2
        while size < entries.count * 2 { size *= 2 }
        var slots = Array(repeating: free, count: size)
        for entry in entries {
            var at = hash(entry) & (size - 1)
            while isUsed(slots[at]) { at = (at + 1) & (size - 1) }
            slots[at] = entry
        }
        return slots
    }
}
