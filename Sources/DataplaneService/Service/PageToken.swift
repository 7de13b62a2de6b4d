import DataplaneAPI
import NetTypes

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Where the next page of a table begins: all a reader needs to go on, so the router keeps nothing between calls.
///
/// Clients treat it as opaque octets, and may send anything: it is parsed as hostile input, and its positions are only compared
/// with keys, never used as an index. A token is bound to the request it came from (table and filters).
///
///     octet 0      version (1)
///     octet 1      table
///     octet 2      flags: 1 = filter vrf, 2 = filter id
///     octet 3      family filter (0, 4, 6)
///     octets 4–7   filter vrf or 0        octets 8–11  filter id or 0
///     octet 12     position kind, then its fields, numbers in network order
struct PageToken: Hashable {
    enum Position: Hashable {
        /// After the object with this number (vif, VRF, next hop, label, VNI).
        case number(UInt32)
        /// After the port of this name.
        case name(String)
        /// In this VRF and family: after `prefix`, nil: at the beginning.
        case route(vrf: UInt32, isIPv4: Bool, after: IPPrefix?)
        /// In this VRF: after `mac`, nil: at the beginning.
        case bridge(vrf: UInt32, after: MACAddress?)
        /// At this flow index.
        case flow(UInt32)
    }
    static let version: UInt8 = 1
    /// Octets of the longest valid token: a port name of 255.
    static let maximumSize = 13 + 255

    var position: Position

    func encoded(for request: Dataplane_V1_ReadRequest) -> Data {
        var out = Self.binding(request)
        switch position {
        case .number(let number): out += [0] + octets(number)
        case .name(let name): out += [1] + name.utf8
        case .route(let vrf, let isIPv4, let prefix):
            out += [2] + octets(vrf) + [isIPv4 ? 4 : 6]
            if let prefix { out += [UInt8(prefix.length)] + prefix.address.bytes }
        case .bridge(let vrf, let mac): out += [3] + octets(vrf) + (mac?.bytes ?? [])
        case .flow(let index): out += [4] + octets(index)
        }
        return Data(out)
    }

    /// Nil when the octets are not a token that a reply to this very request (apart from the page size) carried.
    init?(_ token: Data, for request: Dataplane_V1_ReadRequest) {
        guard token.count <= Self.maximumSize else { return nil }
        let octets = Array(token)
        let binding = Self.binding(request)
        guard octets.count > binding.count, octets.starts(with: binding) else { return nil }
        let rest = octets[(binding.count + 1)...]
        let kind = octets[binding.count]
        switch (kind, request.table) {
        case (0, .vif), (0, .vrf), (0, .nextHop), (0, .label), (0, .vni), (0, .forwardingClass), (0, .qosMap), (0, .mirror),
            (0, .policy), (0, .addressGroup), (0, .natRule), (0, .flowAgeing):
            guard rest.count == 4 else { return nil }
            position = .number(number(rest))
        case (1, .port):
            guard let name = String(validating: rest, as: UTF8.self), !name.isEmpty else { return nil }
            position = .name(name)
        case (2, .route):
            guard rest.count >= 5 else { return nil }
            let family = rest[rest.startIndex + 4]
            guard family == 4 || family == 6 else { return nil }
            var after: IPPrefix?
            if rest.count > 5 {
                guard let address = IPAddress(bytes: rest.dropFirst(6)), address.isIPv4 == (family == 4),
                    let prefix = IPPrefix(masking: address, length: Int(rest[rest.startIndex + 5])), prefix.address == address
                else { return nil }
                after = prefix
            }
            position = .route(vrf: number(rest.prefix(4)), isIPv4: family == 4, after: after)
        case (3, .bridge):
            guard rest.count == 4 || rest.count == 10 else { return nil }
            position = .bridge(vrf: number(rest.prefix(4)), after: MACAddress(bytes: rest.dropFirst(4)))
        case (4, .flow):
            guard rest.count == 4 else { return nil }
            position = .flow(number(rest))
        default: return nil
        }
    }

    init(_ position: Position) { self.position = position }

    private static func binding(_ request: Dataplane_V1_ReadRequest) -> [UInt8] {
        [version, UInt8(truncatingIfNeeded: request.table.rawValue), (request.hasVrf ? 1 : 0) | (request.hasID ? 2 : 0)]
            + [UInt8(truncatingIfNeeded: request.family)] + octets(request.vrf) + octets(request.id)
    }
}

private func octets(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) } }
private func number(_ octets: some Collection<UInt8>) -> UInt32 { octets.reduce(0) { $0 << 8 | UInt32($1) } }
