public import NetTypes

/// A mirror: copies of what vifs receive and send, as the wire sees it, go somewhere to be looked at. Copies are never mirrored again and delay nothing.
public struct MirrorSpec: Hashable, Sendable {
    public struct Source: Hashable, Sendable {
        public var vif: VifID
        public var direction: CaptureSpec.Direction
        public init(vif: VifID, direction: CaptureSpec.Direction = .both) {
            self.vif = vif
            self.direction = direction
        }
    }
    public enum Destination: Hashable, Sendable {
        /// A pcapng file, rotated at `maximumSize` octets (0: never) with `maximumFiles` kept.
        case file(path: String, maximumSize: Int, maximumFiles: Int)
        /// Out of another vif (a tap, a port).
        case vif(VifID)
        /// Ethernet in VXLAN through a tunnel next hop of that encapsulation.
        case vxlan(NextHopID, VNI)
        /// ERSPAN type II between the endpoints of a tunnel next hop; session 0 to 1023.
        case erspan(NextHopID, session: UInt32)
    }
    public var id: UInt32
    public var sources: [Source]
    public var destination: Destination
    /// Octets kept of each frame; 0: all.
    public var snapLength: Int
    public var cookie: UInt64
    public init(id: UInt32, sources: [Source], destination: Destination, snapLength: Int = 0, cookie: UInt64 = 0) {
        self.id = id
        self.sources = sources
        self.destination = destination
        self.snapLength = snapLength
        self.cookie = cookie
    }

    var nextHop: NextHopID? {
        switch destination {
        case .vxlan(let id, _), .erspan(let id, _): id
        case .file, .vif: nil
        }
    }
}

public struct MirrorReading: Sendable {
    public var spec: MirrorSpec
    /// Copies made; and those that were not, for want of a buffer, of room, or of the destination.
    public var copies: UInt64
    public var lost: UInt64
    public init(spec: MirrorSpec, copies: UInt64, lost: UInt64) {
        self.spec = spec
        self.copies = copies
        self.lost = lost
    }
}
