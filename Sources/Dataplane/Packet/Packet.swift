import CPlatform

/// A packet on its way through the stages: where its octets are, what is known about them, and what comes next. Trivial, 64 octets: one cache line of the
/// worker's burst memory. `frame.data` always points at an untagged Ethernet header: tags are taken off where a frame comes in, and what arrives from an MPLS
/// tunnel without an Ethernet header is given one. So the network header is always at `Ethernet.size`.
struct Packet {
    var frame: vr_frame
    /// The vif it came in on (for a decapsulated packet: the fabric vif). Valid until the worker quiesces.
    var ingress: UnsafePointer<Vif>
    var vrf: UInt32
    /// Index of its flow entry; `noFlow` when it has none.
    var flow: UInt32
    /// `nextHop` and, in the upper half, `label`.
    var target: UInt64
    /// Offset of the transport header from `frame.data`; 0 when there is none in this packet (other protocol, later fragment).
    var l4: UInt16
    /// IP protocol of the transport header (after IPv6 extension headers).
    var proto: UInt8
    var family: Family
    var next: Next
    /// Why it was dropped or trapped, once `next` says so: the raw value of a `DropReason` or a `TrapPacket.Reason`.
    var reason: UInt8
    var flags: Flags

    static let noLabel: UInt32 = .max
    static let noFlow: UInt32 = .max
    /// Next hop 0, no label.
    private static let noTarget = UInt64(noLabel) << 32

    /// What the network header is.
    enum Family: UInt8 { case none = 0, ipv4 = 4, ipv6 = 6 }

    /// The stage that takes the packet next, and, from `forward` on, its verdict.
    enum Next: UInt8 {
        /// Longest-prefix match in `vrf`.
        case route
        /// MAC lookup in `vrf`.
        case bridge
        /// `nextHop` is known.
        case nextHop
        /// Leaves unchanged through the vif in `nextHop` (host ⇄ fabric).
        case crossConnect
        case forward, drop, trap, consumed
    }

    struct Flags: OptionSet {
        let rawValue: UInt16
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
        /// Leaves with the VLAN priority in bits 10 to 12, where it leaves with a tag (`Stage/Priority.swift`).
        static let prioritized = Flags(rawValue: 1 << 9)
        /// Its quality of service has been settled.
        static let marked = Flags(rawValue: 1 << 15)
        /// Its flow entry does not know where the flow goes: the next hop that is found now is noted there.
        static let learnsRoute = Flags(rawValue: 1 << 7)
    }

    @inline(__always) init(frame: vr_frame, ingress: UnsafePointer<Vif>) {
        self.frame = frame
        self.ingress = ingress
        vrf = ingress.pointee.vrf
        flow = Packet.noFlow
        target = Packet.noTarget
        l4 = 0
        proto = 0
        family = .none
        next = .drop
        reason = DropReason.misc.rawValue
        flags = []
    }

    /// Everything that parsing does not say: `frame`, `l4`, `proto` and `family` are there already.
    @inline(__always) mutating func begin(ingress: UnsafePointer<Vif>, vrf: UInt32, next: Next, flags: Flags) {
        self.ingress = ingress
        self.vrf = vrf
        flow = Packet.noFlow
        target = Packet.noTarget
        self.next = next
        reason = DropReason.misc.rawValue
        self.flags = flags
    }

    /// Next hop id, once `next` is `.nextHop`; the vif, once it is `.crossConnect` or `.forward`.
    var nextHop: UInt32 {
        @inline(__always) get { UInt32(truncatingIfNeeded: target) }
        @inline(__always) set { target = target & ~0xFFFF_FFFF | UInt64(newValue) }
    }

    /// MPLS label or VNI towards the next hop; `noLabel` when there is none.
    var label: UInt32 {
        @inline(__always) get { UInt32(truncatingIfNeeded: target &>> 32) }
        @inline(__always) set { target = target & 0xFFFF_FFFF | UInt64(newValue) &<< 32 }
    }

    /// Hash of the 5-tuple: from the flow lookup, else from the port; 0 until computed.
    var hash: UInt32 {
        get { frame.hash }
        set { frame.hash = newValue }
    }

    /// Where it was dropped, once it is. A dropped packet has no further use for its label and its hash: the place is kept there, and its flow stays known to
    /// an error about it.
    var dropPlace: DropLog.Place {
        get { DropLog.Place(fileOffset: label, line: frame.hash) }
        set {
            label = newValue.fileOffset
            frame.hash = newValue.line
        }
    }

    var data: UnsafeMutableRawPointer { frame.start }
    var length: Int { Int(frame.length) }
    var network: UnsafeMutableRawPointer { data + Ethernet.size }
    var transport: UnsafeMutableRawPointer { data + Int(l4) }
    /// Octets from the network header to the end of the frame.
    var networkLength: Int { length &- Ethernet.size }

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
    mutating func trim(to length: Int) { frame.trim(to: length) }

    /// Nothing more is to be found out about it.
    var isSettled: Bool { next.rawValue >= Next.forward.rawValue }

    /// `file` and `line`: where the verdict was given; kept for a dropped packet's entry in the drop log.
    @inline(__always) mutating func settle(_ verdict: Verdict, file: StaticString = #fileID, line: UInt32 = #line) {
        switch verdict {
        case .forward(let vif):
            nextHop = vif
            next = .forward
        case .drop(let why):
            reason = why.rawValue
            next = .drop
            dropPlace = DropLog.Place(file, line)
        case .trap(let why):
            reason = why.rawValue
            next = .trap
        case .consumed: next = .consumed
        }
    }
}

extension vr_frame {
    /// `data`, which is never null in a frame that has a buffer.
    @inline(__always) var start: UnsafeMutableRawPointer { UnsafeMutableRawPointer(data.unsafelyUnwrapped) }

    /// Cuts it to `length` octets; one that is not longer stays as it is.
    mutating func trim(to length: Int) {
        guard length < Int(self.length) else { return }
        tailroom &+= self.length &- UInt32(truncatingIfNeeded: length)
        self.length = UInt32(truncatingIfNeeded: length)
    }
}

/// What becomes of a packet. Counted, and the buffer given on or freed, in one place: `Worker.settle`.
enum Verdict {
    /// Out of this vif.
    case forward(VifIndex)
    case drop(DropReason)
    /// A copy goes to the control program.
    case trap(TrapPacket.Reason)
    /// Answered or replaced by packets that the router made.
    case consumed
}

typealias VifIndex = UInt32
