import DataplaneAPI
import NetTypes

/// How translations look.
enum NATLayout {
    static func vrfs(_ rule: Dataplane_V1_NatRule) -> [UInt32] {
        switch rule.kind {
        case .destination(let x): [x.vrf] + x.backends.map(\.vrf)
        case .source(let x): [x.vrf, x.outsideVrf]
        case nil: []
        }
    }

    private static func ports(_ range: Dataplane_V1_PortRange) -> String {
        range.first == range.last ? "\(range.first)" : "\(range.first)-\(range.last)"
    }

    private static func proto(_ number: UInt32) -> String { number == 6 ? "tcp" : number == 17 ? "udp" : "\(number)" }

    /// `to 203.0.113.5`, `to 10.96.0.1 tcp 80`, `from 10.1.0.11/32`.
    static func subject(_ rule: Dataplane_V1_NatRule) -> String {
        switch rule.kind {
        case .destination(let x):
            "to " + addressText(x.address) + (x.hasProtocol ? " \(proto(x.protocol))" : "") + (x.hasPorts ? " \(ports(x.ports))" : "")
        case .source(let x): "from \(addressText(x.prefix.address))/\(x.prefix.length)"
        case nil: "?"
        }
    }

    static func text(_ backend: Dataplane_V1_NatBackend) -> String {
        let address = backend.address.isEmpty ? "the same" : addressText(backend.address)
        return address + (backend.hasPort ? " port \(backend.port)" : "") + " vrf \(backend.vrf)" + (backend.draining ? " (draining)" : "")
    }

    static func summary(_ rule: Dataplane_V1_NatRule) -> String {
        switch rule.kind {
        case .destination(let x):
            x.backends.count == 1 ? text(x.backends[0]) : "\(x.backends.count) backends, \(x.backends.filter(\.draining).count) of them draining"
        case .source(let x): external(x)
        case nil: "?"
        }
    }

    private static func external(_ source: Dataplane_V1_NatSource) -> String {
        addressText(source.address) + (source.hasPorts ? " ports \(ports(source.ports))" : "") + " vrf \(source.outsideVrf)"
    }

    static func text(_ rule: Dataplane_V1_NatRule) -> String {
        var out = "NAT rule \(rule.id) \(printable(rule.name))\n"
        switch rule.kind {
        case .destination(let x):
            out += "  what      \(subject(rule)) in vrf \(x.vrf)\n"
            out += "  affinity  \(x.affinity == .client ? "client" : "connection")\n"
            for backend in x.backends { out += "  backend   \(text(backend))\n" }
            if x.backends.isEmpty { out += "  backend   none: new flows are dropped\n" }
        case .source(let x): out += "  what      \(subject(rule)) in vrf \(x.vrf), where that has no route\n  becomes   \(external(x))\n"
        case nil: break
        }
        return out
    }

    static func json(_ rule: Dataplane_V1_NatRule) -> JSON {
        var kind: JSON = .null
        func range(_ ports: Dataplane_V1_PortRange) -> JSON { ["first": JSON(ports.first), "last": JSON(ports.last)] }
        switch rule.kind {
        case .destination(let x):
            kind = [
                "vrf": JSON(x.vrf), "address": JSON(addressText(x.address)), "protocol": x.hasProtocol ? JSON(proto(x.protocol)) : .null,
                "ports": x.hasPorts ? range(x.ports) : .null, "affinity": JSON(x.affinity == .client ? "client" : "connection"),
                "backends": .array(
                    x.backends.map { backend in
                        [
                            "address": backend.address.isEmpty ? .null : JSON(addressText(backend.address)),
                            "port": backend.hasPort ? JSON(backend.port) : .null, "vrf": JSON(backend.vrf), "draining": .bool(backend.draining),
                        ]
                    }),
            ]
        case .source(let x):
            kind = [
                "vrf": JSON(x.vrf), "prefix": JSON("\(addressText(x.prefix.address))/\(x.prefix.length)"), "outsideVRF": JSON(x.outsideVrf),
                "address": JSON(addressText(x.address)), "ports": x.hasPorts ? range(x.ports) : .null,
            ]
        case nil: break
        }
        let isSource = if case .source? = rule.kind { true } else { false }
        return [
            "id": JSON(rule.id), "name": JSON(rule.name), isSource ? "source" : "destination": kind, "cookie": JSON(cookieText(rule.cookie)),
        ]
    }
}
