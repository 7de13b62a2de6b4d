import CPlatform
import NetTypes

/// Packets larger than the way out: cut into TCP segments (what a kernel left to the device), fragmented (IPv4 without Don't Fragment), or refused with an
/// ICMP error that says how much fits (RFC 1191, RFC 8201).
extension Worker {
    enum Fit { case fits, segments, fragments, refused }

    /// How an IP packet gets through an MTU (octets of IP packet).
    @inline(__always) func fit(_ packet: Packet, _ mtu: Int) -> Fit {
        if packet.flags.contains(.mayBeSegmented), packet.l4 != 0 { return packet.networkLength > segmentSize(packet, mtu) ? .segments : .fits }
        guard packet.networkLength > mtu else { return .fits }
        return packet.family == .ipv4 && !IPv4(packet.network).doNotFragment ? .fragments : .refused
    }

    /// The largest IP packet that a kernel would have sent instead of this one: no larger than the way out or the sender's own link, and no larger
    /// than what the receiver asked for when the connection began, where the flow knows.
    func segmentSize(_ packet: Packet, _ mtu: Int) -> Int {
        var size = mtu
        if !packet.flags.contains(.tunneled) { size = min(size, Int(packet.ingress.pointee.mtu)) }
        guard packet.flow != Packet.noFlow else { return size }
        let announced = tables.flows.entry(tables.flows.entry(packet.flow).reverse).maximumSegmentSize
        guard announced != 0 else { return size }
        // The option counts neither header (RFC 6691). A hostile announcement must not turn one packet into a thousand.
        return min(size, max(Int(announced), Worker.smallestSegment) &+ (Int(packet.l4) &- Ethernet.size) &+ TCP.size)
    }

    private static let smallestSegment = 256

    /// Drops a packet that does not fit and tells its sender. To be called before the packet is changed: the error quotes it.
    @inline(never) func refuse(_ packet: inout Packet, mtu: Int, out: UnsafePointer<Vif>) {
        if packet.family != .none { sendError(packet, .packetTooBig(mtu: mtu), out: out) }
        packet.settle(.drop(.packetTooBig))
    }

    /// Cuts the packet, settles it as consumed, and gives each piece, an Ethernet frame, to `send`.
    @inline(never) func cut(_ packet: inout Packet, _ fit: Fit, mtu: Int, _ send: (Worker, vr_frame) -> Void) {
        if fit == .segments {
            var segments = Segmenter(packet.data, length: packet.length, mtu: segmentSize(packet, mtu))
            guard segments.isPossible else { return packet.settle(.drop(.fragmentError)) }
            emit(&packet, send) { segments.next(into: $0, capacity: $1) }
        } else {
            var fragments = Fragmenter(packet.data, length: packet.length, mtu: mtu)
            guard fragments.isPossible else { return packet.settle(.drop(.fragmentError)) }
            emit(&packet, send) { fragments.next(into: $0, capacity: $1) }
        }
    }

    /// Takes pieces until there is none left. Without a buffer for the first piece the packet is dropped; without one for a later piece the rest is lost, as
    /// any packet may be.
    private func emit(_ packet: inout Packet, _ send: (Worker, vr_frame) -> Void, _ next: (UnsafeMutableRawPointer, Int) -> Int) {
        var pieces = 0
        while true {
            guard var frame = allocate() else { return packet.settle(pieces == 0 ? .drop(.headAllocation) : .consumed) }
            let length = next(frame.start, Int(frame.tailroom))
            guard length > 0 else {
                release(frame)
                return packet.settle(pieces == 0 ? .drop(.fragmentError) : .consumed)
            }
            frame.length = UInt32(truncatingIfNeeded: length)
            frame.tailroom &-= frame.length
            counters.add(.generated)
            pieces &+= 1
            send(self, frame)
        }
    }

    /// Tells the packet's sender, within the vif's rate. Our address is the gateway's: on the workload's vif, or, for a packet from a tunnel, on the vif it
    /// was to leave by; the error then goes back through the VRF.
    func sendError(_ packet: Packet, _ kind: ICMPError.Kind, out: UnsafePointer<Vif>? = nil) {
        guard !packet.flags.contains(.generated), packet.family != .none, madeCount < Int(VR_BURST) else { return }
        let fromWorkload = packet.ingress.pointee.isWorkload
        guard let address = fromWorkload ? packet.ingress : out, address.pointee.isWorkload else { return }
        guard icmpLimit.allows(packet.ingress.pointee.id, now: now), var frame = allocate() else { return }
        // The sender of a translated packet knows it as it was, and its destination by the address that it has outside.
        let outside = packet.flow == Packet.noFlow ? nil : restore(packet)
        let mac = MACAddress.gateway.rawValue, capacity = Int(frame.tailroom)
        var length = 0
        if packet.family == .ipv4 {
            let isOutside = outside != nil && !fromWorkload
            let source = isOutside ? IPv4(packet.network).destination : gatewayIPv4(address, for: IPv4(packet.network).source)
            if source != 0 {
                length = ICMPError.makeIPv4(
                    kind, about: packet.data, length: packet.length, into: frame.start, capacity: capacity, mac: mac, address: source)
            }
        } else {
            let source = outside != nil && !fromWorkload ? IPv6(packet.network).destination : address.pointee.ipv6
            if !source.isUnspecified {
                length = ICMPError.makeIPv6(
                    kind, about: packet.data, length: packet.length, into: frame.start, capacity: capacity, mac: mac, address: source)
            }
        }
        guard length > 0 else { return release(frame) }
        frame.length = UInt32(truncatingIfNeeded: length)
        frame.tailroom &-= frame.length
        counters.add(.generated)
        if fromWorkload { return stage(frame, packet.ingress.pointee.id) }
        var error = Packet(frame: frame, ingress: packet.ingress)
        error.vrf = outside ?? packet.vrf
        error.family = packet.family
        error.flags = [.generated, .routed]
        error.next = .route
        made[madeCount] = error
        madeCount &+= 1
    }

    /// The gateway address a workload knows us by; a vif in a network of two subnets has two.
    private func gatewayIPv4(_ vif: UnsafePointer<Vif>, for workload: UInt32) -> UInt32 {
        let first = vif.pointee.ipv4, second = vif.pointee.ipv4Second
        // The one that shares more leading bits with the workload's own address.
        return second != 0 && (second ^ workload).leadingZeroBitCount > (first ^ workload).leadingZeroBitCount ? second : first
    }
}
