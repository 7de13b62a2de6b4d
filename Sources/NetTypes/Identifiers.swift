/// The identifiers of the router's tables. Each is a number with a meaning of its own: no arithmetic, no mixing.

/// A virtual interface: index into the vif table.
public struct VifID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: VifID, b: VifID) -> Bool { a.rawValue < b.rawValue }
    /// As operators write it: `vif0/3`.
    public var description: String { "vif0/\(rawValue)" }
}

/// A routing and bridging domain.
public struct VRFID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: VRFID, b: VRFID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue)" }
}

/// A next hop: index into the next-hop table. 0 is the discard next hop, always present.
public struct NextHopID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: NextHopID, b: NextHopID) -> Bool { a.rawValue < b.rawValue }
    public static let discard = NextHopID(0)
    public var description: String { "\(rawValue)" }
}

/// An MPLS label, 20 bits (RFC 3032). 0–15 are reserved.
public struct Label: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: Label, b: Label) -> Bool { a.rawValue < b.rawValue }
    public static let maximum: UInt32 = 0xF_FFFF
    public static let firstUnreserved: UInt32 = 16
    public var description: String { "\(rawValue)" }
}

/// A VXLAN network identifier, 24 bits (RFC 7348).
public struct VNI: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: VNI, b: VNI) -> Bool { a.rawValue < b.rawValue }
    public static let maximum: UInt32 = 0xFF_FFFF
    public var description: String { "\(rawValue)" }
}

/// A policy: an ordered list of rules that vifs name. 0 stands for none.
public struct PolicyID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: PolicyID, b: PolicyID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue)" }
}

/// An address group: a set of prefixes that the rules of policies name.
public struct AddressGroupID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: AddressGroupID, b: AddressGroupID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue)" }
}

/// A translation of addresses: of destinations, or of sources.
public struct NATRuleID: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public static func < (a: NATRuleID, b: NATRuleID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "\(rawValue)" }
}
