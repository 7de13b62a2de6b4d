public import NetTypes

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// NetTypes ⇄ the API's octets in network order. Absent (empty) octets are nil on the Swift side; octets of a wrong count are nil
/// too, so a reader of untrusted messages that must tell the two apart looks at `isEmpty` itself.

extension IPAddress { public var octets: Data { Data(bytes) } }
extension IPv4Address { public var octets: Data { Data(bytes) } }
extension IPv6Address { public var octets: Data { Data(bytes) } }
extension MACAddress { public var octets: Data { Data(bytes) } }

/// A message that holds an address and a prefix length.
public protocol PrefixMessage {
    var address: Data { get set }
    var prefixLength: UInt32 { get set }
}

extension PrefixMessage {
    /// Nil when the octets and the length make no prefix, or when host bits are set.
    public var prefix: IPPrefix? {
        get {
            guard let address = IPAddress(bytes: address), let length = Int(exactly: prefixLength),
                let prefix = IPPrefix(masking: address, length: length), prefix.address == address
            else { return nil }
            return prefix
        }
        set {
            address = newValue?.address.octets ?? Data()
            prefixLength = newValue.map { UInt32($0.length) } ?? 0
        }
    }
}

extension Dataplane_V1_Route: PrefixMessage {}
extension Dataplane_V1_RouteKey: PrefixMessage {}

extension Dataplane_V1_Route {
    /// The MAC to answer ARP and ND with; nil: the gateway's.
    public var macAddress: MACAddress? {
        get { MACAddress(bytes: mac) }
        set { mac = newValue?.octets ?? Data() }
    }
}

extension Dataplane_V1_Prefix {
    public init(_ prefix: IPPrefix) {
        self.init()
        address = prefix.address.octets
        length = UInt32(prefix.length)
    }
}

extension Dataplane_V1_BridgeEntry {
    public var macAddress: MACAddress? {
        get { MACAddress(bytes: mac) }
        set { mac = newValue?.octets ?? Data() }
    }
}

extension Dataplane_V1_BridgeKey {
    public var macAddress: MACAddress? {
        get { MACAddress(bytes: mac) }
        set { mac = newValue?.octets ?? Data() }
    }
}

extension Dataplane_V1_Vif {
    public var macAddress: MACAddress? {
        get { MACAddress(bytes: mac) }
        set { mac = newValue?.octets ?? Data() }
    }
    public var ipAddresses: [IPAddress] {
        get { addresses.compactMap { IPAddress(bytes: $0) } }
        set { addresses = newValue.map(\.octets) }
    }
    public var workloadMACAddress: MACAddress? {
        get { MACAddress(bytes: workloadMac) }
        set { workloadMac = newValue?.octets ?? Data() }
    }
    public var workloadIPAddresses: [IPAddress] {
        get { workloadAddresses.compactMap { IPAddress(bytes: $0) } }
        set { workloadAddresses = newValue.map(\.octets) }
    }
}

extension Dataplane_V1_EncapNextHop {
    /// Nil: the frame leaves as it is (bridged).
    public var destination: MACAddress? {
        get { MACAddress(bytes: destinationMac) }
        set { destinationMac = newValue?.octets ?? Data() }
    }
    public var sourceAddress: MACAddress? {
        get { MACAddress(bytes: sourceMac) }
        set { sourceMac = newValue?.octets ?? Data() }
    }
}

extension Dataplane_V1_TunnelNextHop {
    public var sourceAddress: IPAddress? {
        get { IPAddress(bytes: source) }
        set { source = newValue?.octets ?? Data() }
    }
    public var destinationAddress: IPAddress? {
        get { IPAddress(bytes: destination) }
        set { destination = newValue?.octets ?? Data() }
    }
}
