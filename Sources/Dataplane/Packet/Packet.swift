import CPlatform

/// A packet on its way through the stages: where its octets are, what is known about them, and what comes next. Trivial; lives in a
/// worker's burst memory. `frame.data` always points at an Ethernet header: what arrives from an MPLS tunnel without one is given one.
struct Packet {
    var frame: vr_frame
    /// The vif it came in on (for a decapsulated packet: the fabric vif). Valid until the worker quiesces.
    var ingress: UnsafePointer<Vif>
    var vrf: UInt32
    /// Next hop id, once `next` is `.nextHop`.
    var nextHop: UInt32
    /// MPLS label or VNI towards the next hop; `noLabel` when there is none.
    var label: UInt32
    /// Index of its flow entry; `noFlow` when it has none.
    var flow: UInt32
    /// Hash of the 5-tuple, the same in both directions of a worker's life but not symmetric; 0 until computed.
    var hash: UInt32
    /// Offsets from `frame.data`. `l4` is 0 when there is no transport header in this packet (other protocol, later fragment).
    var l3: UInt16
    var l4: UInt16
    /// IP protocol of the transport header (after IPv6 extension headers).
    var proto: UInt8
    var family: Family
    var next: Next
    var flags: Flags
    /// Valid once `next` is `.settled`.
    var verdict: Verdict

    static let noLabel: UInt32 = .max
    static let noFlow: UInt32 = .max

    /// What the network header is.
    enum Family: UInt8 { case none = 0, ipv4 = 4, ipv6 = 6 }

    /// The stage that takes the packet next.
    enum Next: UInt8 {
        /// Longest-prefix match in `vrf`.
        case route
        /// MAC lookup in `vrf`.
        case bridge
        /// `nextHop` is known.
        case nextHop
        /// Leaves unchanged through the vif in `nextHop` (host ⇄ fabric).
        case crossConnect
        /// `verdict` is final.
        case settled
    }

    struct Flags: OptionSet {
        let rawValue: UInt8
        /// Came out of a tunnel.
        static let tunneled = Flags(rawValue: 1 << 0)
        /// Routed (TTL handling, Ethernet header rewritten), as opposed to bridged.
        static let routed = Flags(rawValue: 1 << 1)
        /// The TTL or hop limit is to be lowered here: once per passage through the virtual network, on the sender's node.
        static let lowersTTL = Flags(rawValue: 1 << 2)
        /// TCP from a kernel that may have left segmentation to the device (GSO): cut where it does not fit.
        static let mayBeSegmented = Flags(rawValue: 1 << 3)
        /// Made by the router; never causes an ICMP error.
        static let generated = Flags(rawValue: 1 << 4)
        /// A fragment that is not the first.
        static let laterFragment = Flags(rawValue: 1 << 5)
        /// IPv6 or IPv4 fragment of any position.
        static let fragment = Flags(rawValue: 1 << 6)
    }

    init(frame: vr_frame, ingress: UnsafePointer<Vif>) {
        self.frame = frame
        self.ingress = ingress
        vrf = ingress.pointee.vrf
        nextHop = 0
        label = Packet.noLabel
        flow = Packet.noFlow
        hash = 0
        l3 = 14
        l4 = 0
        proto = 0
        family = .none
        next = .settled
        flags = []
        verdict = .drop(.misc)
    }

    var data: UnsafeMutableRawPointer { frame.start }
    var length: Int { Int(frame.length) }
    var network: UnsafeMutableRawPointer { data + Int(l3) }
    var transport: UnsafeMutableRawPointer { data + Int(l4) }
    /// Octets from the network header to the end of the frame.
    var networkLength: Int { length &- Int(l3) }

    /// Removes `size` octets from the front; offsets become invalid. The caller has checked that they are there.
    mutating func pull(_ size: Int) {
        frame.data += size
        frame.length &-= UInt32(truncatingIfNeeded: size)
        frame.headroom &+= UInt32(truncatingIfNeeded: size)
    }

    /// Makes room for `size` octets in front; false when the headroom is too small.
    mutating func push(_ size: Int) -> Bool {
        guard Int(frame.headroom) >= size else { return false }
        frame.data -= size
        frame.length &+= UInt32(truncatingIfNeeded: size)
        frame.headroom &-= UInt32(truncatingIfNeeded: size)
        return true
    }

    /// Cuts the frame to `length` octets (Ethernet padding, trailing garbage).
    mutating func trim(to length: Int) {
        guard length < self.length else { return }
        frame.tailroom &+= frame.length &- UInt32(truncatingIfNeeded: length)
        frame.length = UInt32(truncatingIfNeeded: length)
    }

    mutating func settle(_ verdict: Verdict) {
        self.verdict = verdict
        next = .settled
    }
}

extension vr_frame {
    /// `data`, which is never null in a frame that has a buffer.
    @inline(__always) var start: UnsafeMutableRawPointer { UnsafeMutableRawPointer(data.unsafelyUnwrapped) }
}

/// What becomes of a packet. Counted, and the buffer given on or freed, in one place: `Worker.settle`.
enum Verdict: Equatable {
    /// Out of this vif.
    case forward(VifIndex)
    case drop(DropReason)
    /// A copy goes to the control program.
    case trap(TrapPacket.Reason)
    /// Answered or replaced by packets that the router made.
    case consumed
}

typealias VifIndex = UInt32
