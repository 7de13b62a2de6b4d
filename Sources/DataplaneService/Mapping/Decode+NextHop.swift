import Dataplane
import DataplaneAPI
import NetTypes

extension NextHopSpec {
    init(_ message: Dataplane_V1_NextHop) throws(FieldError) {
        let kind: Kind
        switch message.kind {
        case .discard: kind = .discard
        case .receive(let receive): kind = .receive(vif: VifID(receive.vif))
        case .encap(let encap): kind = try Self.encap(encap)
        case .tunnel(let tunnel): kind = .tunnel(try Tunnel(tunnel))
        case .resolve(let resolve): kind = .resolve(vif: VifID(resolve.vif))
        case .vrf(let vrf):
            let routerMAC = try FieldReader(path: "upsert.next_hop.vrf").optionalMAC(vrf.routerMac, "router_mac")
            kind = .vrf(VRFID(vrf.vrf), bridges: vrf.bridges, routerMAC: routerMAC)
        case .indirect(let indirect): kind = .indirect(NextHopID(indirect.nextHop))
        case .ecmp(let ecmp):
            let members = try Self.members(ecmp.members, "ecmp.members")
            guard !members.isEmpty else { throw FieldReader(path: "upsert.next_hop.ecmp").error("members", "", "there is none") }
            kind = .ecmp(members, hash: try HashFields(ecmp.hashFields))
        case .multicast(let multicast): kind = .multicast(try Multicast(multicast))
        case nil:
            throw FieldReader(path: "upsert.next_hop").missing("kind", "discard, receive, encap, tunnel, resolve, vrf, ecmp, indirect, multicast")
        }
        self.init(id: NextHopID(message.id), kind: kind, cookie: message.cookie)
    }

    fileprivate static func members(_ messages: [Dataplane_V1_EcmpMember], _ field: String) throws(FieldError) -> [Member] {
        var members: [Member] = []
        for (index, member) in messages.enumerated() {
            let reader = FieldReader(path: "upsert.next_hop.\(field)[\(index)]")
            members.append(Member(nextHop: NextHopID(member.nextHop), label: member.hasLabel ? try reader.labelOrVNI(member.label, "label") : nil))
        }
        return members
    }

    private static func encap(_ message: Dataplane_V1_EncapNextHop) throws(FieldError) -> Kind {
        let reader = FieldReader(path: "upsert.next_hop.encap")
        let destination = try reader.optionalMAC(message.destinationMac, "destination_mac")
        let source = try reader.optionalMAC(message.sourceMac, "source_mac")
        return .encap(vif: VifID(message.vif), destination: destination, source: source ?? .gateway)
    }
}

extension NextHopSpec.Multicast {
    init(_ message: Dataplane_V1_MulticastNextHop) throws(FieldError) {
        let reader = FieldReader(path: "upsert.next_hop.multicast")
        self.init(
            vrf: VRFID(message.vrf), local: message.local.map { NextHopID($0) }, evpn: try NextHopSpec.members(message.evpn, "multicast.evpn"),
            fabric: try NextHopSpec.members(message.fabric, "multicast.fabric"), vni: VNI(try reader.labelOrVNI(message.vni, "vni")))
    }
}

extension NextHopSpec.Tunnel {
    init(_ message: Dataplane_V1_TunnelNextHop) throws(FieldError) {
        let reader = FieldReader(path: "upsert.next_hop.tunnel")
        let encapsulation: Encapsulation =
            switch message.encapsulation {
            case .vxlan: .vxlan
            case .mplsOverUdp: .mplsOverUDP
            case .mplsOverGre: .mplsOverGRE
            case .unspecified: throw reader.error("encapsulation", "", "missing: VXLAN, MPLS_OVER_UDP or MPLS_OVER_GRE")
            case .UNRECOGNIZED(let number): throw reader.error("encapsulation", number, "no such encapsulation")
            }
        let source = try reader.address(message.source, "source")
        let destination = try reader.address(message.destination, "destination")
        guard source.isIPv4 == destination.isIPv4 else {
            throw reader.error("destination", destination, "is not of the family of the source \(source)")
        }
        self.init(
            encapsulation: encapsulation, source: source, destination: destination, vif: VifID(message.vif),
            destinationMAC: try reader.mac(message.destinationMac, "destination_mac"), sourceMAC: try reader.mac(message.sourceMac, "source_mac"),
            routerMAC: try reader.optionalMAC(message.routerMac, "router_mac") ?? .gateway)
    }
}

extension HashFields {
    static let apiNames: [(field: HashFields, name: Dataplane_V1_HashField)] = [
        (.proto, .protocol), (.source, .source), (.sourcePort, .sourcePort), (.destination, .destination), (.destinationPort, .destinationPort),
    ]

    /// An empty list means all.
    init(_ list: [Dataplane_V1_HashField]) throws(FieldError) {
        var fields: HashFields = list.isEmpty ? .all : []
        for (index, name) in list.enumerated() {
            guard let known = Self.apiNames.first(where: { $0.name == name }) else {
                throw FieldReader(path: "upsert.next_hop.ecmp").error("hash_fields[\(index)]", name.rawValue, "no such field")
            }
            fields.insert(known.field)
        }
        self = fields
    }
}
