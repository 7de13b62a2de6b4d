public import NetTypes

public struct FlowKeySpec: Hashable, Sendable {
    public var vrf: VRFID
    public var source: IPAddress
    public var destination: IPAddress
    /// IP protocol number.
    public var proto: UInt8
    /// Ports; ICMP echo: identifier and 0.
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// Of a request to change or delete: the flow must be the one that had this generation; nil: whichever has the key. Nil in readings.
    public var generation: UInt32?
    public init(
        vrf: VRFID, source: IPAddress, destination: IPAddress, proto: UInt8, sourcePort: UInt16, destinationPort: UInt16, generation: UInt32? = nil
    ) {
        self.generation = generation
        self.vrf = vrf
        self.source = source
        self.destination = destination
        self.proto = proto
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
    }
}

/// How long idle flows are kept.
public struct FlowAgeingSpec: Hashable, Sendable {
    /// IP protocol number; 0: of every protocol that has no time of its own.
    public var proto: UInt8
    /// Of the destination, or of the source where that has none; 0: all.
    public var port: UInt16
    /// 1 to 604 800.
    public var seconds: UInt32
    public var cookie: UInt64
    public init(proto: UInt8, port: UInt16 = 0, seconds: UInt32, cookie: UInt64 = 0) {
        self.proto = proto
        self.port = port
        self.seconds = seconds
        self.cookie = cookie
    }
}

/// What a time is for.
public struct FlowAgeingID: Hashable, Comparable, Sendable {
    public var proto: UInt8
    public var port: UInt16
    public init(proto: UInt8, port: UInt16) {
        self.proto = proto
        self.port = port
    }
    public static func < (a: Self, b: Self) -> Bool { (a.proto, a.port) < (b.proto, b.port) }
}

public enum FlowAction: UInt8, Hashable, Sendable, CaseIterable {
    case forward, drop
    /// Forward with other addresses or ports; see `FlowSpec.translation`.
    case nat
    /// It waits for a decision. In readings only: the router holds what a policy says to trap.
    case hold
}

/// What a flow's packets are given in place of their own; nil keeps what they have. Replies get the originals back.
public struct FlowTranslation: Hashable, Sendable {
    public var source: IPAddress?
    public var destination: IPAddress?
    /// ICMP echo: the identifier, which stands for both ports.
    public var sourcePort: UInt16?
    public var destinationPort: UInt16?
    /// The VRF that the translated packet is routed in, and that replies come from.
    public var vrf: VRFID?
    public init(
        source: IPAddress? = nil, destination: IPAddress? = nil, sourcePort: UInt16? = nil, destinationPort: UInt16? = nil, vrf: VRFID? = nil
    ) {
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.vrf = vrf
    }
}

/// A flow as programmed; adding one adds its reverse too.
public struct FlowSpec: Hashable, Sendable {
    public var key: FlowKeySpec
    public var action: FlowAction
    /// With action `nat`, and only then.
    public var translation: FlowTranslation?
    /// Marks its packets, both directions; 0: the vif's map.
    public var qosMap: UInt8 = 0
    /// A mirror (1 to 255) that its packets, both directions, are copied to; 0: none.
    public var mirror: UInt8 = 0
    public var cookie: UInt64
    public init(key: FlowKeySpec, action: FlowAction, translation: FlowTranslation? = nil, cookie: UInt64 = 0) {
        self.key = key
        self.action = action
        self.translation = translation
        self.cookie = cookie
    }
}
