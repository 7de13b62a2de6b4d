import NetTypes

// Routes. They come by the hundred thousand, so nothing here is looked up in a dictionary: that a VRF exists its roots say, that a next hop exists its record.
extension Router {
    /// Routes whose way through the table is prefetched before the first of them is inserted.
    private static let window = 16

    /// Upserts the routes that `operations` has from `first` on, up to the first operation of another kind; returns that one's index.
    func upsertRoutes(_ operations: UnsafeBufferPointer<RouterOperation>, from first: Int, _ outcomes: inout [RouterOutcome]) -> Int {
        let routes = tables.routes
        var index = first, isRun = true
        withUnsafeTemporaryAllocation(of: RoutePlace.self, capacity: Self.window) { places in
            while isRun {
                var count = 0
                while count < Self.window, index + count < operations.count, case .upsert(.route(let spec)) = operations[index + count] {
                    (places.baseAddress.unsafelyUnwrapped + count).initialize(to: place(spec.vrf, spec.prefix))
                    routes.prefetchFront(places[count].root, places[count].key)
                    count &+= 1
                }
                for at in 0..<count { routes.prefetchNode(places[at].root, places[at].key) }
                for at in 0..<count {
                    guard case .upsert(.route(let spec)) = operations[index + at] else { break }
                    outcomes.append(upsert(spec, places[at]))
                }
                index += count
                isRun = count == Self.window
            }
        }
        return index
    }

    /// Where a route belongs: the trie of its VRF and family, `RouteTable.none` when there is no such VRF, and its key.
    struct RoutePlace {
        var root: UInt32
        var key: RouteKey
    }

    private func place(_ vrf: VRFID, _ prefix: IPPrefix) -> RoutePlace {
        let roots = tables.roots(vrf.rawValue), length = UInt8(truncatingIfNeeded: prefix.length)
        switch prefix.address {
        case .v4(let address): return RoutePlace(root: roots.ipv4, key: RouteKey(ipv4: address.rawValue, length: length))
        case .v6(let address): return RoutePlace(root: roots.ipv6, key: RouteKey(high: address.high, low: address.low, length: length))
        }
    }

    func upsert(_ spec: RouteSpec) -> RouterOutcome { upsert(spec, place(spec.vrf, spec.prefix)) }

    private func upsert(_ spec: RouteSpec, _ place: RoutePlace) -> RouterOutcome {
        guard place.root != RouteTable.none else { return .notFound("route \(spec.prefix): VRF \(spec.vrf) does not exist; create it first") }
        guard let nextHop = tables.nextHops.load(spec.nextHop.rawValue) else {
            return .notFound("route \(spec.prefix): next hop \(spec.nextHop) does not exist; create it first")
        }
        if nextHop.pointee.kind == .multicast {
            return .invalid("route \(spec.prefix): next hop \(spec.nextHop) is a multicast next hop, which only bridge entries and labels lead to")
        }
        if let label = spec.label, label > VNI.maximum { return .invalid("route \(spec.prefix): label \(label) is larger than 24 bits") }
        if configuration.routeCapacity > 0, tables.routes.routeCount >= configuration.routeCapacity,
            [0, RouteTable.none].contains(tables.routes.exact(place.root, place.key))
        {
            return full("route \(spec.prefix)", "route", configuration.routeCapacity, "routes")
        }
        let leaf = tables.leaves.intern(
            RouteLeaf(
                nextHop: spec.nextHop.rawValue, label: spec.label ?? RouteLeaf.noLabel, mac: spec.mac?.rawValue ?? 0,
                flags: spec.proxies ? RouteLeaf.proxies : 0, cookie: spec.cookie))
        guard leaf != 0 else {
            return .tableFull("route \(spec.prefix): no room for another distinct route result (\(tables.leaves.count) are in use)")
        }
        let old = tables.routes.insert(place.root, place.key, leaf: leaf)
        guard old != RouteTable.none else {
            tables.leaves.release(leaf)
            return .tableFull("route \(spec.prefix): the route table is full (\(tables.routes.routeCount) routes)")
        }
        reference(spec.nextHop)
        if old != 0 { forget(leaf: old) }
        return .ok
    }

    func deleteRoute(_ vrf: VRFID, _ prefix: IPPrefix) -> RouterOutcome {
        let place = place(vrf, prefix)
        guard place.root != RouteTable.none else { return .notFound("route \(prefix): VRF \(vrf) does not exist") }
        let old = tables.routes.remove(place.root, place.key)
        guard old != 0, old != RouteTable.none else { return .notFound("route \(prefix) in VRF \(vrf): does not exist") }
        forget(leaf: old)
        return .ok
    }

    private func forget(leaf: UInt32) {
        dereference(NextHopID(tables.leaves.nextHop(leaf)))
        tables.leaves.release(leaf)
    }
}

extension RouteLeaf {
    /// Flag: ARP and ND are answered for addresses under the route.
    static let proxies: UInt16 = 1
}
