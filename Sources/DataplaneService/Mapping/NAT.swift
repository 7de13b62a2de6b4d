import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

// Translations, both ways.

extension NATRuleSpec {
    init(_ message: Dataplane_V1_NatRule) throws(FieldError) {
        let reader = FieldReader(path: "upsert.nat_rule")
        let kind: Kind
        switch message.kind {
        case .destination(let rule): kind = .destination(try Destination(rule))
        case .source(let rule): kind = .source(try Source(rule))
        case nil: throw reader.missing("kind", "destination, source")
        }
        self.init(id: NATRuleID(message.id), name: message.name, kind: kind, cookie: message.cookie)
    }
}

extension NATRuleSpec.Destination {
    init(_ message: Dataplane_V1_NatDestination) throws(FieldError) {
        let reader = FieldReader(path: "upsert.nat_rule.destination")
        let match: NATRuleSpec.Match
        let range = message.hasPorts ? try reader.portRanges([message.ports], "ports").first : nil
        if message.hasProtocol {
            guard let proto = UInt8(exactly: message.protocol) else {
                throw reader.error("protocol", message.protocol, "a protocol has 8 bits: at most 255")
            }
            guard let range, range.count == 1 else {
                throw reader.error("ports", "", "a protocol goes with one port: first and last are the same")
            }
            match = .port(proto: proto, range.lowerBound)
        } else {
            match = range.map { .range($0) } ?? .all
        }
        let affinity: NATRuleSpec.Affinity
        switch message.affinity {
        case .unspecified, .connection: affinity = .connection
        case .client: affinity = .client
        case .UNRECOGNIZED(let number): throw reader.error("affinity", number, "no such affinity")
        }
        var backends: [NATRuleSpec.Backend] = []
        for (index, item) in message.backends.enumerated() {
            let fields = FieldReader(path: "\(reader.path).backends[\(index)]")
            backends.append(
                NATRuleSpec.Backend(
                    address: item.address.isEmpty ? nil : try fields.address(item.address, "address"),
                    port: item.hasPort ? try fields.uint16(item.port, "port") : nil, vrf: VRFID(item.vrf), isDraining: item.draining))
        }
        self.init(
            vrf: VRFID(message.vrf), address: try reader.address(message.address, "address"), match: match, backends: backends, affinity: affinity)
    }
}

extension NATRuleSpec.Source {
    init(_ message: Dataplane_V1_NatSource) throws(FieldError) {
        let reader = FieldReader(path: "upsert.nat_rule.source")
        self.init(
            vrf: VRFID(message.vrf), prefix: try FieldReader(path: "\(reader.path).prefix").prefix(message.prefix.address, message.prefix.length),
            outside: VRFID(message.outsideVrf), address: try reader.address(message.address, "address"),
            ports: message.hasPorts ? try reader.portRanges([message.ports], "ports").first : nil)
    }
}

extension Dataplane_V1_NatRule {
    init(_ spec: NATRuleSpec) {
        self.init()
        id = spec.id.rawValue
        name = spec.name
        cookie = spec.cookie
        switch spec.kind {
        case .destination(let rule):
            destination.vrf = rule.vrf.rawValue
            destination.address = rule.address.octets
            switch rule.match {
            case .all: break
            case .port(let proto, let port):
                destination.protocol = UInt32(proto)
                destination.ports = Dataplane_V1_PortRange(port...port)
            case .range(let range): destination.ports = Dataplane_V1_PortRange(range)
            }
            destination.affinity = rule.affinity == .client ? .client : .connection
            destination.backends = rule.backends.map { backend in
                .with {
                    if let address = backend.address { $0.address = address.octets }
                    if let port = backend.port { $0.port = UInt32(port) }
                    $0.vrf = backend.vrf.rawValue
                    $0.draining = backend.isDraining
                }
            }
        case .source(let rule):
            source.vrf = rule.vrf.rawValue
            source.prefix = Dataplane_V1_Prefix(rule.prefix)
            source.outsideVrf = rule.outside.rawValue
            source.address = rule.address.octets
            if let ports = rule.ports { source.ports = Dataplane_V1_PortRange(ports) }
        }
    }
}

extension Dataplane_V1_PortRange {
    init(_ range: ClosedRange<UInt16>) {
        self.init()
        first = UInt32(range.lowerBound)
        last = UInt32(range.upperBound)
    }
}
