import DataplaneAPI
import Foundation
import NetTypes

/// The layout of `flow -l`: two lines per entry for its ends, then what is known of it. Columns are fixed.
/// Counts of created, added and deleted entries are not kept by the router and are not shown.
enum FlowLayout {
    static func header(usage: Dataplane_V1_TableUsage?) -> String {
        let size = usage.map { "Flow table(size \($0.memoryBytes), entries \($0.capacity))\n\nEntries: Used \($0.used)\n\n" } ?? ""
        return size + """
            Action:F=Forward, D=Drop N=NAT(S=SNAT, D=DNAT, Ps=SPAT, Pd=DPAT)
            TCP(r=reverse):S=SYN, F=FIN, R=RST, C=HalfClose, E=Established, D=Dead

                Index                Source:Port/Destination:Port                      Proto(V)
            -----------------------------------------------------------------------------------

            """
    }

    static func entry(_ flow: API.Flow) -> String {
        let key = flow.key
        let indices = "\(flow.index)".aligned(9) + "<=>" + (flow.hasReverseIndex ? "\(flow.reverseIndex)" : "-").padded(13)
        let source = "\(addressText(key.source)):\(key.sourcePort)".padded(50)
        var text = indices + source + "\(key.protocol)".aligned(3) + " (\(key.vrf))\n"
        text += String(repeating: " ", count: 25) + "\(addressText(key.destination)):\(key.destinationPort)\n"
        text += "(Gen: \(flow.generation), Action:\(action(flow)), "
        if !flow.tcpState.isEmpty { text += "TCP:\(printable(flow.tcpState)), " }
        text += "NH:\(flow.nextHop),  Stats:\(flow.packets)/\(flow.bytes),\n"
        if flow.hasTranslation { text += " Becomes \(target(flow.translation)),\n" }
        let vif = ingress(flow).map { "\($0)" } ?? "-"
        text += " SPort \(flow.udpSourcePort), Vif \(vif), Idle \(flow.idleSeconds) s, \(flow.isForward ? "forward" : "reverse"))\n\n"
        return text
    }

    /// Nil (all ones on the wire) for an entry that no packet has taken yet.
    private static func ingress(_ flow: API.Flow) -> UInt32? { flow.ingressVif == .max ? nil : flow.ingressVif }

    private static func action(_ flow: API.Flow) -> String {
        switch flow.action {
        case .forward: "F"
        case .drop: flow.dropReason.isEmpty ? "D" : "D(\(printable(flow.dropReason)))"
        case .nat: "N(\(letters(flow.translation)))"
        case .unspecified: "-"
        case .UNRECOGNIZED(let value): "?\(value)"
        }
    }

    /// What is translated, in the letters of the header.
    private static func letters(_ translation: Dataplane_V1_FlowTranslation) -> String {
        (translation.source.isEmpty ? "" : "S") + (translation.destination.isEmpty ? "" : "D") + (translation.hasSourcePort ? "Ps" : "")
            + (translation.hasDestinationPort ? "Pd" : "")
    }

    /// What packets of the flow become, as source > destination; a dash is what they have.
    private static func target(_ translation: Dataplane_V1_FlowTranslation) -> String {
        func end(_ address: Data, _ port: UInt32?) -> String { "\(address.isEmpty ? "-" : addressText(address)):\(port.map { "\($0)" } ?? "-")" }
        let source = end(translation.source, translation.hasSourcePort ? translation.sourcePort : nil)
        let destination = end(translation.destination, translation.hasDestinationPort ? translation.destinationPort : nil)
        return "\(source) > \(destination)" + (translation.hasVrf ? " (VRF \(translation.vrf))" : "")
    }

    private static func json(_ translation: Dataplane_V1_FlowTranslation) -> JSON {
        [
            "source": translation.source.isEmpty ? .null : JSON(addressText(translation.source)),
            "sourcePort": translation.hasSourcePort ? JSON(translation.sourcePort) : .null,
            "destination": translation.destination.isEmpty ? .null : JSON(addressText(translation.destination)),
            "destinationPort": translation.hasDestinationPort ? JSON(translation.destinationPort) : .null,
            "vrf": translation.hasVrf ? JSON(translation.vrf) : .null,
        ]
    }

    static func json(_ flow: API.Flow) -> JSON {
        let action: String =
            switch flow.action {
            case .forward: "forward"
            case .drop: "drop"
            case .nat: "nat"
            case .unspecified, .UNRECOGNIZED: "unknown"
            }
        return [
            "index": JSON(flow.index), "reverseIndex": flow.hasReverseIndex ? JSON(flow.reverseIndex) : .null, "vrf": JSON(flow.key.vrf),
            "protocol": JSON(flow.key.protocol), "source": JSON(addressText(flow.key.source)), "sourcePort": JSON(flow.key.sourcePort),
            "destination": JSON(addressText(flow.key.destination)), "destinationPort": JSON(flow.key.destinationPort), "action": JSON(action),
            "translation": flow.hasTranslation ? json(flow.translation) : .null, "isForward": JSON(flow.isForward), "tcpState": JSON(flow.tcpState),
            "packets": JSON(flow.packets), "bytes": JSON(flow.bytes),
            "nextHop": JSON(flow.nextHop), "ingressVif": JSON(ingress(flow)), "udpSourcePort": JSON(flow.udpSourcePort),
            "idleSeconds": JSON(flow.idleSeconds), "generation": JSON(flow.generation), "cookie": JSON(cookieText(flow.cookie)),
        ]
    }
}

/// The sums `flow -s` prints.
struct FlowSummary {
    private(set) var entries: UInt64 = 0, forward: UInt64 = 0, dropping: UInt64 = 0, packets: UInt64 = 0, bytes: UInt64 = 0
    private(set) var byProtocol: [UInt32: UInt64] = [:]
    private(set) var byVRF: [UInt32: UInt64] = [:]

    mutating func add(_ flow: API.Flow) {
        entries &+= 1
        if flow.isForward { forward &+= 1 }
        if flow.action == .drop { dropping &+= 1 }
        packets &+= flow.packets
        bytes &+= flow.bytes
        byProtocol[flow.key.protocol, default: 0] &+= 1
        byVRF[flow.key.vrf, default: 0] &+= 1
    }

    var text: String {
        let protocols = byProtocol.sorted { $0.key < $1.key }.map { "\(IPProtocolName.text($0.key)) \($0.value)" }.joined(separator: ", ")
        let vrfs = byVRF.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        return """
            Flow Statistics
            ---------------
            Entries             : \(entries) (forward \(forward), reverse \(entries &- forward))
            Dropping entries    : \(dropping)
            Packets             : \(packets)
            Bytes               : \(bytes)
            Entries by protocol : \(protocols.isEmpty ? "-" : protocols)
            Entries by VRF      : \(vrfs.isEmpty ? "-" : vrfs)

            """
    }

    var json: JSON {
        [
            "flowStatistics": [
                "entries": JSON(entries), "forward": JSON(forward), "reverse": JSON(entries &- forward), "dropping": JSON(dropping),
                "packets": JSON(packets), "bytes": JSON(bytes),
                "byProtocol": .object(byProtocol.sorted { $0.key < $1.key }.map { .init(key: IPProtocolName.text($0.key), value: JSON($0.value)) }),
                "byVrf": .object(byVRF.sorted { $0.key < $1.key }.map { .init(key: "\($0.key)", value: JSON($0.value)) }),
            ]
        ]
    }
}
