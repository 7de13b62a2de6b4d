import CPlatform
import NetTypes

/// First packets that are translated (`NATDecision`): between the lookup that missed and the insertion of the pair.
///
/// - Input: a packet whose key has no flow entry.
/// - Output: its pair, whose reverse key says what it becomes.
/// - Drops: noTranslation, noBackend, natPortsExhausted.
extension Worker {
    /// How a pair on its way into the table is translated.
    enum PairTranslation: UInt8 { case none, fixed, ports, refused }

    /// While anything is translated: what becomes of the flow of this key, whose pair so far is plain.
    @inline(never) func translateFirst(
        _ nat: UnsafePointer<NATReader>, _ key: UnsafePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>, isRouted: Bool
    ) {
        var decision = NATDecision(key.pointee)
        // What is bridged, or has come with a workload's label, is for a workload of the network itself.
        if isRouted { tables.translation(nat, key, hash: pair.pointee.forwardHash, into: &decision) }
        switch decision.status {
        case .plain:
            guard let vrf = tables.returnVRF(nat, key.pointee) else { return }
            pair.pointee.translation = .fixed
            pair.pointee.returnVRF = vrf
        case .translated:
            pair.pointee.translation = decision.hasPorts ? .ports : .fixed
            pair.pointee.reverse = decision.key.reversed
        case .refused:
            pair.pointee.translation = .refused
            pair.pointee.refusal = decision.reason.rawValue
        }
    }

    /// A pair whose reverse key another flow has: another port, while there are any. No index: the packet is settled.
    ///
    /// Bounded for each flow and for each burst: an address whose ports are all in use must not cost a worker its time.
    @inline(never) func insertElsewhere(
        _ packet: UnsafeMutablePointer<Packet>, _ key: UnsafePointer<FlowKey>, _ pair: UnsafeMutablePointer<FlowPair>,
        _ template: FlowTable.Template, _ first: FlowTable.Status
    ) -> FlowTable.Insertion {
        guard first == .conflict, pair.pointee.translation == .ports, let nat = tables.nat.load() else {
            packet.pointee.settle(.drop(.noTranslation))
            return FlowTable.Insertion(status: .conflict)
        }
        let hash = pair.pointee.forwardHash, flows = tables.flows
        var decision = NATDecision(key.pointee)
        tables.translation(nat, key, hash: hash, into: &decision)
        guard decision.status == .translated, decision.hasPorts else {
            packet.pointee.settle(.drop(.noTranslation))
            return FlowTable.Insertion(status: .conflict)
        }
        let limit = min(decision.portLimit, max(Self.leastProbes, portProbesLeft))
        var attempt = 1
        while attempt < limit {
            decision.takePort(hash, attempt: attempt)
            attempt &+= 1
            portProbesLeft &-= 1
            var reverse = decision.key.reversed
            if flows.reader.lookup(&reverse, hash: flows.hash(&reverse)) != FlowTable.none { continue }
            pair.initialize(to: FlowPair(reverse: reverse, forwardHash: hash))
            pair.pointee.translation = .ports
            flows.prepare(lane: id, key, pair)
            var template = template
            let result = flows.insert(lane: id, key, pair, &template)
            switch result.status {
            case .inserted, .exists: return result
            case .conflict, .busy: continue
            case .full:
                packet.pointee.settle(.drop(.flowTableFull))
                return FlowTable.Insertion(status: .conflict)
            }
        }
        packet.pointee.settle(.drop(.natPortsExhausted))
        return FlowTable.Insertion(status: .conflict)
    }

    /// Ports that may be tried for the flows of one burst, beyond the `leastProbes` of each.
    static var burstProbes: Int { 4096 }
    private static var leastProbes: Int { 16 }

    /// What a packet was before its flow translated it: for an error about it, which its sender has to recognise (RFC 5508 section 3.1). Returns the VRF it came in by; nil: it is as it was.
    @inline(never) func restore(_ packet: Packet) -> UInt32? {
        let flows = tables.flows.reader, entry = flows.entry(packet.flow)
        guard entry.action == FlowAction.nat.rawValue else { return nil }
        let old = entry.copy().key, new = flows.entry(entry.reverse).copy().key.reversed
        let rewrite = FlowRewrite(new, becomes: old)
        if packet.family == .ipv4, old.family == 4 {
            let ip = IPv4(packet.network)
            packet.network.set(12, word64: rewrite.addresses)
            ip.checksum = FlowRewrite.update(ip.checksum, by: rewrite.networkSum)
        } else if packet.family == .ipv6, old.family == 6 {
            let ip = IPv6(packet.network)
            ip.source = IPv6Address(high: old.a0, low: old.a1)
            ip.destination = IPv6Address(high: old.a2, low: old.a3)
        } else {
            return nil
        }
        if packet.l4 != 0 { translateTransport(packet.transport, packet.proto, rewrite.ports, rewrite.transportSum) }
        return old.vrf
    }
}
