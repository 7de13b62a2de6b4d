import DataplaneAPI
import Foundation
import NetTypes

/// The layout of `nh --list`: a block per next hop, indented by 14 columns, a blank line between blocks.
struct NextHopLayout {
    /// For the VRF and the policy flag of a next hop: those of the vif it leads to.
    var vifs: [UInt32: API.Vif]
    private static let indent = String(repeating: " ", count: 14)

    func block(_ hop: API.NextHop) -> String {
        let (id, references) = ("\(hop.id)".padded(11), "\(hop.references)".padded(11))
        var lines = ["Id:\(id)Type:\(type(hop).padded(15))Fmly: \(family(hop).padded(8)) Rid:0  Ref_cnt:\(references)Vrf:\(vrf(hop))"]
        func add(_ line: String) { lines.append(Self.indent + line) }
        add("Flags:" + flags(hop).map { $0 + "," }.joined(separator: " "))
        switch hop.kind {
        case .encap(let encap):
            let bytes = encapBytes(hop)
            add("EncapFmly:\(bytes.isEmpty ? "0000" : "0806") Oif:\(encap.vif) Len:\(bytes.count)")
            if !bytes.isEmpty { add("Encap Data: " + hexadecimal(bytes, separator: " ")) }
        case .tunnel(let tunnel):
            let bytes = encapBytes(hop)
            add("Oif:\(tunnel.vif) Len:\(bytes.count) Data:" + hexadecimal(bytes, separator: " "))
            add("Sip:\(addressText(tunnel.source)) Dip:\(addressText(tunnel.destination))")
            if tunnel.encapsulation == .vxlan { add("Vxlan Mac:\(routerMAC(tunnel))") }
        case .receive(let receive): add("Oif:\(receive.vif)")
        case .resolve(let resolve): add("Oif:\(resolve.vif)")
        case .ecmp(let ecmp):
            add("Valid Hash Key Parameters: " + hashFields(ecmp).map(\.title).joined(separator: ","))
            add("Sub NH(label):" + texts(ecmp.members))
        case .vrf(let vrf): if !vrf.routerMac.isEmpty { add("Router Mac:\(macText(vrf.routerMac))") }
        case .indirect(let indirect): add("Sub NH: \(indirect.nextHop)")
        case .multicast(let multicast):
            if !multicast.local.isEmpty { add("Encap Sub NH:" + multicast.local.map { " \($0)" }.joined()) }
            if !multicast.evpn.isEmpty { add("Evpn Sub NH(label):" + texts(multicast.evpn)) }
            if !multicast.fabric.isEmpty { add("Fabric Sub NH(label):" + texts(multicast.fabric)) }
        case .discard, nil: break
        }
        return lines.joined(separator: "\n") + "\n\n"
    }

    func type(_ hop: API.NextHop) -> String {
        switch hop.kind {
        case .discard: "Drop"
        case .receive: "Receive"
        case .encap: "Encap"
        case .tunnel: "Tunnel"
        case .resolve: "Resolve"
        case .vrf: "Vrf_Translate"
        case .ecmp, .multicast: "Composite"
        case .indirect: "Indirect"
        case nil: "Invalid"
        }
    }

    private func family(_ hop: API.NextHop) -> String {
        switch hop.kind {
        case .encap(let encap) where encap.destinationMac.isEmpty: "AF_BRIDGE"
        case .vrf(let vrf) where vrf.bridges: "AF_BRIDGE"
        case .multicast: "AF_BRIDGE"
        case .tunnel(let tunnel) where tunnel.destination.count == 16: "AF_INET6"
        default: "AF_INET"
        }
    }

    private func vif(_ hop: API.NextHop) -> UInt32? {
        switch hop.kind {
        case .receive(let kind): kind.vif
        case .encap(let kind): kind.vif
        case .tunnel(let kind): kind.vif
        case .resolve(let kind): kind.vif
        case .discard, .vrf, .ecmp, .indirect, .multicast, nil: nil
        }
    }

    private func vrf(_ hop: API.NextHop) -> UInt32 {
        if case .vrf(let kind) = hop.kind { return kind.vrf }
        if case .multicast(let kind) = hop.kind { return kind.vrf }
        return vif(hop).flatMap { vifs[$0]?.vrf } ?? 0
    }

    func flags(_ hop: API.NextHop) -> [String] {
        guard let kind = hop.kind else { return [] }
        var out = ["Valid"]
        switch kind {
        case .encap(let encap): if vifs[encap.vif]?.keepsFlows == true { out.append("Policy") }
        case .tunnel(let tunnel):
            switch tunnel.encapsulation {
            case .vxlan: out.append("Vxlan")
            case .mplsOverUdp: out.append("MPLSoUDP")
            case .mplsOverGre: out.append("MPLSoGRE")
            case .unspecified, .UNRECOGNIZED: out.append("Unknown encapsulation")
            }
        case .ecmp: out.append("Ecmp")
        case .indirect: out.append("Indirect")
        case .multicast(let multicast):
            out.append("Multicast")
            if !multicast.local.isEmpty { out.append("Encap") }
            if !multicast.evpn.isEmpty { out.append("Evpn") }
            if !multicast.fabric.isEmpty { out.append("Fabric") }
        case .discard, .receive, .resolve, .vrf: break
        }
        return out
    }

    /// What the choice of a member goes by: as OpenSDN's tool prints it, and in JSON. An empty list means all.
    private func hashFields(_ ecmp: Dataplane_V1_EcmpNextHop) -> [(title: String, name: String)] {
        let all: [(Dataplane_V1_HashField, title: String, name: String)] = [
            (.protocol, "Proto", "protocol"), (.source, "SrcIP", "source"), (.sourcePort, "SrcPort", "sourcePort"),
            (.destination, "DstIp", "destination"), (.destinationPort, "DstPort", "destinationPort"),
        ]
        return all.filter { ecmp.hashFields.isEmpty || ecmp.hashFields.contains($0.0) }.map { ($0.title, $0.name) }
    }

    /// The Ethernet header that is written: destination, source, EtherType. Empty where the frame leaves as it is.
    private func encapBytes(_ hop: API.NextHop) -> [UInt8] {
        switch hop.kind {
        case .encap(let encap): encap.destinationMac.isEmpty ? [] : Array(encap.destinationMac) + sourceMAC(encap) + [0x08, 0x00]
        case .tunnel(let tunnel):
            Array(tunnel.destinationMac) + Array(tunnel.sourceMac) + (tunnel.destination.count == 16 ? [0x86, 0xDD] : [0x08, 0x00])
        default: []
        }
    }

    private func sourceMAC(_ encap: Dataplane_V1_EncapNextHop) -> [UInt8] {
        encap.sourceMac.isEmpty ? MACAddress.gateway.bytes : Array(encap.sourceMac)
    }
    private func routerMAC(_ tunnel: API.Tunnel) -> String {
        tunnel.routerMac.isEmpty ? MACAddress.gateway.description : macText(tunnel.routerMac)
    }

    func json(_ hop: API.NextHop) -> JSON {
        var members: [JSON.Member] = []
        func add(_ key: String, _ value: JSON) { members.append(.init(key: key, value: value)) }
        func add(mac key: String, _ bytes: Data) { add(key, bytes.isEmpty ? .null : JSON(macText(bytes))) }
        add("id", JSON(hop.id))
        add("type", JSON(type(hop).lowercased().replacing("_", with: "")))
        add("family", JSON(family(hop)))
        add("vrf", JSON(vrf(hop)))
        add("flags", JSON(texts: flags(hop)))
        add("references", JSON(hop.references))
        add("cookie", JSON(cookieText(hop.cookie)))
        switch hop.kind {
        case .encap(let encap):
            add("vif", JSON(encap.vif))
            add(mac: "destinationMac", encap.destinationMac)
            add(mac: "sourceMac", encap.sourceMac)
            add("encapData", JSON(hexadecimal(encapBytes(hop), separator: "")))
        case .tunnel(let tunnel):
            add("encapsulation", JSON(flags(hop).last))
            add("source", JSON(addressText(tunnel.source)))
            add("destination", JSON(addressText(tunnel.destination)))
            add("vif", JSON(tunnel.vif))
            add(mac: "destinationMac", tunnel.destinationMac)
            add(mac: "sourceMac", tunnel.sourceMac)
            if tunnel.encapsulation == .vxlan { add("routerMac", JSON(routerMAC(tunnel))) }
            add("encapData", JSON(hexadecimal(encapBytes(hop), separator: "")))
        case .receive(let receive): add("vif", JSON(receive.vif))
        case .resolve(let resolve): add("vif", JSON(resolve.vif))
        case .vrf(let vrf):
            add("bridges", JSON(vrf.bridges))
            add(mac: "routerMac", vrf.routerMac)
        case .indirect(let indirect): add("target", JSON(indirect.nextHop))
        case .ecmp(let ecmp):
            add("hashFields", JSON(texts: hashFields(ecmp).map(\.name)))
            add("members", list(ecmp.members))
        case .multicast(let multicast):
            add("local", .array(multicast.local.map { JSON($0) }))
            add("evpn", list(multicast.evpn))
            add("fabric", list(multicast.fabric))
            add("vni", JSON(multicast.vni))
        case .discard, nil: break
        }
        return .object(members)
    }

    private func texts(_ members: [Dataplane_V1_EcmpMember]) -> String {
        members.map { " \($0.nextHop)(\($0.hasLabel ? "\($0.label)" : "-1"))" }.joined()
    }

    private func list(_ members: [Dataplane_V1_EcmpMember]) -> JSON {
        .array(members.map { ["nextHop": JSON($0.nextHop), "label": $0.hasLabel ? JSON($0.label) : .null] })
    }
}
