import NetTypes

/// What a flow's first packet becomes. The whole of address translation is here; what follows of it for every packet is in the flow's entries (`FlowRewrite`).
///
/// 1. Its destination is an address that is translated in its VRF (a floating IP seen from outside, a service): it goes on to a backend, in the backend's VRF.
/// 2. Else, when its VRF has no route for it and its source is translated: it leaves by the outside VRF under its external address, and there step 1 is taken once more: the
///    destination may be the floating IP of a neighbour (hairpin), who then sees the external address and not the internal one.
///
/// A workload that reaches itself through a service sees the service's address as the source: its own would make it answer itself without the router.
///
/// An external address with ports gives each flow one of this router's own: from a place that the flow's hash says, the first that is not in use towards that destination.
/// What is in use only the flow table knows: the reverse key of a translated flow says address and port, and no two flows have one key. So a port is taken by inserting the flow and
/// free again when the flow goes; there is no list, no lock and no state besides.
struct NATDecision {
    enum Status: UInt8 {
        /// Nothing to translate.
        case plain
        case translated
        /// It has to be, and cannot: `reason`.
        case refused
    }
    var status = Status.plain
    var reason = DropReason.noTranslation
    /// `key` is to be given a port of these.
    var hasPorts = false
    var firstPort: UInt16 = 0
    var portCount: UInt16 = 0
    /// What the packets have when they are translated.
    var key: FlowKey

    init(_ key: FlowKey) { self.key = key }

    /// A port for `key`; `attempt`: how many others were in use.
    @inline(__always) mutating func takePort(_ hash: UInt64, attempt: Int) {
        let place = UInt64(truncatingIfNeeded: attempt) &+ (hash &>> 32)
        // 0: all 65536 of them.
        let port = portCount == 0 ? UInt16(truncatingIfNeeded: place) : firstPort &+ UInt16(truncatingIfNeeded: place % UInt64(portCount))
        let isEcho = key.isEcho
        key.sourcePort = port
        if isEcho { key.destinationPort = port }
    }
    var portLimit: Int { portCount == 0 ? 65_536 : Int(portCount) }
}

extension ForwardingTables {
    /// `hash`: of the key, keyed. Bounded: two lookups of destinations, one of sources and one of routes.
    func translation(_ nat: UnsafePointer<NATReader>, _ old: UnsafePointer<FlowKey>, hash: UInt64, into decision: inout NATDecision) {
        let flags = nat.pointee.flags(old.pointee.vrf)
        if flags.isEmpty { return }
        if flags.contains(.destinations), redirect(nat, old, hash, &decision) { return }
        guard !flags.isDisjoint(with: [.hosts, .prefixes]),
            let source = nat.pointee.source(old.pointee.vrf, flags, old.pointee.sourceWords, isIPv4: old.pointee.family == 4),
            leaf(vrf: old.pointee.vrf, old.pointee) == 0
        else { return }
        decision.key.vrf = source.pointee.outside
        decision.status = .translated
        if nat.pointee.flags(source.pointee.outside).contains(.destinations) {
            let outside = decision.key
            _ = withUnsafePointer(to: outside) { redirect(nat, $0, hash, &decision) }
            if decision.status == .refused { return }
        }
        decision.key.sourceWords = source.pointee.external
        guard source.pointee.hasPorts else { return }
        // What has no ports cannot share an address.
        guard old.pointee.hasPorts else {
            decision.status = .refused
            decision.reason = .noTranslation
            return
        }
        decision.hasPorts = true
        decision.firstPort = source.pointee.firstPort
        decision.portCount = UInt16(truncatingIfNeeded: source.pointee.portCount)
        decision.takePort(hash, attempt: 0)
    }

    /// What comes from another router's ports of an address that is shared: the VRF in which its replies find the way back to that router, whoever has the address here. Nil: the
    /// source is nothing of the kind.
    func returnVRF(_ nat: UnsafePointer<NATReader>, _ key: FlowKey) -> UInt32? {
        guard nat.pointee.flags(key.vrf).contains(.destinations),
            let target = nat.pointee.destination(key.vrf, key.sourceWords, proto: key.proto, port: key.sourcePort), target.backendCount == 1
        else { return nil }
        let backend = nat.pointee.backends[Int(target.firstBackend)]
        return backend.keepsAddress && backend.keepsPort ? backend.vrf : nil
    }

    /// True: the destination is translated, or has nobody who takes the flow.
    private func redirect(_ nat: UnsafePointer<NATReader>, _ old: UnsafePointer<FlowKey>, _ hash: UInt64, _ decision: inout NATDecision) -> Bool {
        guard
            let target = nat.pointee.destination(
                old.pointee.vrf, old.pointee.destinationWords, proto: old.pointee.proto, port: old.pointee.destinationPort)
        else { return false }
        var choice = hash
        if target.isByClient {
            let client = old.pointee.sourceWords
            choice = foldedMultiply(client.high ^ nat.pointee.seed, client.low ^ 0xC2B2_AE3D_27D4_EB4F)
        }
        guard let backend = nat.pointee.backend(target, choice) else {
            decision.status = .refused
            decision.reason = .noBackend
            return true
        }
        decision.status = .translated
        decision.key.vrf = backend.pointee.vrf
        if !backend.pointee.keepsAddress { decision.key.destinationWords = backend.pointee.address }
        if !backend.pointee.keepsPort { decision.key.destinationPort = backend.pointee.port }
        if decision.key.vrf == old.pointee.vrf, decision.key.destinationWords == old.pointee.sourceWords {
            decision.key.sourceWords = old.pointee.destinationWords
        }
        return true
    }

    /// Whether a flow that is there is as one that comes now may be: the same translation, or another one of those there are to choose from.
    func stillHolds(_ nat: UnsafePointer<NATReader>?, _ old: FlowKey, _ current: FlowKey) -> Bool {
        guard let nat else { return old == current }
        var key = old
        let flags = nat.pointee.flags(old.vrf)
        if flags.contains(.destinations), let holds = isBackend(nat, old, old.destinationPort, current) { return holds }
        if !flags.isDisjoint(with: [.hosts, .prefixes]), let source = nat.pointee.source(old.vrf, flags, old.sourceWords, isIPv4: old.family == 4),
            leaf(vrf: old.vrf, old) == 0
        {
            guard current.sourceWords == source.pointee.external else { return false }
            key.vrf = source.pointee.outside
            key.sourceWords = source.pointee.external
            if source.pointee.hasPorts {
                guard current.sourcePort >= source.pointee.firstPort, current.sourcePort <= source.pointee.lastPort else { return false }
                let isEcho = key.isEcho
                key.sourcePort = current.sourcePort
                if isEcho { key.destinationPort = current.sourcePort }
            }
            // The rule is found by what the sender named: the identifier of an echo is both ports, and is another by now.
            if nat.pointee.flags(key.vrf).contains(.destinations), let holds = isBackend(nat, key, old.destinationPort, current) { return holds }
        }
        return key == current
    }

    /// Nil: the destination is not translated. Also backends that take no new flows count.
    private func isBackend(_ nat: UnsafePointer<NATReader>, _ old: FlowKey, _ port: UInt16, _ current: FlowKey) -> Bool? {
        guard let target = nat.pointee.destination(old.vrf, old.destinationWords, proto: old.proto, port: port) else { return nil }
        for index in 0..<Int(target.backendCount) {
            let backend = nat.pointee.backends[Int(target.firstBackend) + index]
            var key = old
            key.vrf = backend.vrf
            if !backend.keepsAddress { key.destinationWords = backend.address }
            if !backend.keepsPort { key.destinationPort = backend.port }
            if key.vrf == old.vrf, key.destinationWords == old.sourceWords { key.sourceWords = old.destinationWords }
            if key == current { return true }
        }
        return false
    }
}

extension FlowKey {
    /// Ports that a translation can change: of TCP and UDP, and the identifier of an ICMP echo.
    @inline(__always) var hasPorts: Bool { proto == IPProtocol.tcp.rawValue || proto == IPProtocol.udp.rawValue || isEcho }
}
