import CPlatform
import NetTypes

/// Packets that a kernel left uncut, given on uncut where the port they leave by cuts them itself (`PortTraits.cutsSegments`, `.cutsDatagrams`): to a
/// local workload as one TCP packet, into a VXLAN tunnel as one UDP packet of many datagrams. The kernel or the device behind the port cuts it, or, where the way
/// ends on this machine, never does: 64 KiB pass for the price of one packet.
extension Worker {
    /// Settles a TCP packet that is larger than the way out as one that the port is to cut. False: it cannot, and nothing was done.
    @inline(never) func forwardUncut(_ packet: inout Packet, mtu: Int, out: UnsafePointer<Vif>) -> Bool {
        guard out.pointee.flags.contains(.cutsSegments), packet.l4 != 0 else { return false }
        // A port looks for the TCP header behind an IPv4 or an IPv6 header without extensions.
        guard packet.family == .ipv4 || Int(packet.l4) == Ethernet.size + IPv6.size else { return false }
        let tcp = TCP(packet.transport), headers = Int(packet.l4) &+ tcp.headerLength
        guard tcp.flags.isDisjoint(with: [.syn, .rst, .urg]), packet.length > headers else { return false }
        let size = segmentSize(packet, mtu) &- (headers &- Ethernet.size)
        guard size > 0, size <= Int(UInt16.max) else { return false }
        packet.frame.markSegmented(size)
        packet.settle(.forward(out.pointee.id))
        return true
    }

    /// Cuts a TCP packet into the inner frames of a VXLAN tunnel and sends them as the datagrams of few UDP packets: all of a size but the last, one behind
    /// the other, each with its VXLAN header, under one outer header. The port repeats that (UDP segmentation offload, Linux 6.2). False: nothing was done.
    @inline(never) func sendAsDatagrams(
        _ packet: inout Packet, _ nextHop: UnsafePointer<NextHop>, _ fabric: UnsafePointer<Vif>, mtu: Int, port: UInt16
    ) -> Bool {
        guard fabric.pointee.flags.contains(.cutsDatagrams), nextHop.pointee.encapsulation == .vxlan else { return false }
        var segments = Segmenter(packet.data, length: packet.length, mtu: segmentSize(packet, mtu))
        guard segments.isPossible, segments.count > 1 else { return false }
        let label = packet.label
        var made = 0
        while !segments.isDone {
            guard var frame = allocate() else {
                // What was sent is sent; the rest is lost, as any packet may be.
                packet.settle(made == 0 ? .drop(.headAllocation) : .consumed)
                return true
            }
            made &+= 1
            let start = frame.start
            // The outer IP packet counts its octets in 16 bits, and has its own headers.
            let capacity = min(Int(frame.tailroom), Int(UInt16.max) &- (IPv4.size + UDP.size + VXLAN.size))
            var filled = segments.next(into: start, capacity: capacity), pieces = 1
            guard filled > 0 else {
                release(frame)
                packet.settle(.drop(.fragmentError))
                return true
            }
            let first = filled
            while !segments.isDone {
                let size = segments.next(into: start + (filled &+ VXLAN.size), capacity: capacity &- filled &- VXLAN.size)
                guard size > 0 else { break }
                (start + filled).set(0, word64: VXLAN.word(vni: label))
                filled &+= VXLAN.size &+ size
                pieces &+= 1
            }
            frame.length = UInt32(truncatingIfNeeded: filled)
            frame.tailroom &-= frame.length
            counters.add(.generated)
            guard encapsulate(&frame, nextHop, label: label, port: port) else {
                drop(frame, .push, vif: fabric.pointee.id)
                continue
            }
            if pieces > 1 { frame.markSegmented(VXLAN.size &+ first) }
            stage(frame, fabric.pointee.id)
        }
        packet.settle(.consumed)
        return true
    }
}

extension vr_frame {
    /// Leaves it to the port to cut the frame: `size` octets of data per segment or datagram.
    @inline(__always) mutating func markSegmented(_ size: Int) { tailroom = VR_SEGMENTED | UInt32(truncatingIfNeeded: size) }
    /// The port is to cut it.
    @inline(__always) var isSegmented: Bool { tailroom & VR_SEGMENTED != 0 }
}
