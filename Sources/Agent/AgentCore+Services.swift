import Foundation
import NetTypes
import Overlay

/// What the services are told of ports and networks.
extension AgentCore {
    func updateServices() async {
        if areServicesDirty {
            areServicesDirty = false
            await services.update(serviceFacts())
        }
        await services.poll()
    }

    private func serviceFacts() -> WorkloadServices.Facts {
        var facts = WorkloadServices.Facts()
        let networks = config.networks, underlay = underlayMTU()
        for state in desired.ports {
            // Only where there is a vif to answer by.
            guard state.reason == nil, let vif = state.vif, sync.actual[.vif(vif)] != nil, let port = state.binding.port,
                let network = networks[port.network]
            else { continue }
            facts.ports[vif.rawValue] = ServicePort(
                name: port.name, uid: port.uid, mac: port.mac, addresses: port.addresses, network: network,
                mtu: network.mtu ?? underlay.map { $0 - network.encapsulation.overhead })
        }
        let served = Set(facts.ports.values.map(\.network.name))
        if zonesRevision != config.revision || Set(zones.keys) != served {
            let ports = config.portsByNetwork
            zones = [:]
            for name in served {
                guard let network = networks[name] else { continue }
                zones[name] = DNSZone(network: network, ports: (ports[name] ?? []).map { ($0.name, $0.addresses) })
            }
            zonesRevision = config.revision
        }
        facts.zones = zones
        facts.linkLocal = config.linkLocalServices
        return facts
    }

    /// What fits the fabric; nil for a device that the kernel does not see.
    private func underlayMTU() -> Int? {
        if configuration.fabric.mtu > 0 { return configuration.fabric.mtu }
        guard let text = try? String(contentsOfFile: "/sys/class/net/\(configuration.fabric.interface)/mtu", encoding: .utf8) else { return nil }
        return Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }
}

extension VirtualNetwork.Encapsulation {
    /// Octets in front of the workload's IP packet, over IPv4: RFC 7348 (IP, UDP, VXLAN, Ethernet), RFC 7510 (IP, UDP, label).
    var overhead: Int {
        switch self {
        case .vxlan: 20 + 8 + 8 + 14
        case .mplsOverUDP: 20 + 8 + 4
        }
    }
}

extension ConfigStore {
    /// A port of another node, before and after.
    func isOnlyName(_ event: ControllerEvent, node: String) -> Bool {
        func isOther(_ object: ConfigObject?) -> Bool {
            switch object {
            case .port(let port): port.node != node
            case nil: true
            default: false
            }
        }
        switch event {
        case .config(let object): return object.kind == .port && isOther(object) && isOther(objects[object.key])
        case .configRemoved(let key): return key.kind == .port && isOther(objects[key])
        default: return false
        }
    }
}
