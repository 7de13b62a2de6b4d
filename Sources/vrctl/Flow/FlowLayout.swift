import DataplaneAPI
import Foundation
import NetTypes

/// The layout of `flow -l`: two lines per entry for its ends, then what is known of it. Columns are fixed.
enum FlowLayout {
    static func header(_ statistics: Dataplane_V1_FlowStatistics?, usage: Dataplane_V1_TableUsage?) -> String {
        var text = usage.map { "Flow table(size \($0.memoryBytes), entries \($0.capacity))\n\n" } ?? ""
        if let statistics {
            text += "Entries: Created \(statistics.createdEntries) Deleted \(statistics.removedEntries) Used \(statistics.entries)"
            text += " Aged \(statistics.aged) Closed \(statistics.closed) Evicted \(statistics.evicted) Held Packets \(statistics.heldPackets)\n\n"
        }
        return text + """
            Action:F=Forward, D=Drop, H=Hold N=NAT(S=SNAT, D=DNAT, Ps=SPAT, Pd=DPAT)
             Flags:E=Evicted, Ff=Fat Flow
            TCP(r=reverse):S=SYN, F=FIN, R=RST, C=HalfClose, E=Established, D=Dead

                Index                Source:Port/Destination:Port                      Proto(V)
            -----------------------------------------------------------------------------------

            """
    }

    static func entry(_ flow: API.Flow) -> String {
        var buffer = TextBuffer()
        write(flow, to: &buffer)
        return buffer.text
    }

    static func write(_ flow: API.Flow, to out: inout TextBuffer) {
        let key = flow.key
        let line = out.column
        out.put(flow.index, width: 9)
        out.put("<=>")
        if flow.hasReverseIndex { out.put(flow.reverseIndex) } else { out.put("-") }
        out.pad(from: line, to: 25)
        let source = out.column
        out.put(address: key.source)
        out.put(":")
        out.put(key.sourcePort)
        out.pad(from: source, to: 50)
        out.put(key.protocol, width: 3)
        out.put(" (")
        out.put(key.vrf)
        out.put(")\n                         ")
        out.put(address: key.destination)
        out.put(":")
        out.put(key.destinationPort)
        out.put("\n(Gen: ")
        out.put(flow.generation)
        out.put(", Action:")
        put(action: flow, to: &out)
        out.put(", Flags:")
        if flow.evicted { out.put("E") }
        if flow.fat { out.put("Ff") }
        out.put(", ")
        if !flow.tcpState.isEmpty {
            out.put("TCP:")
            out.put(text: printable(flow.tcpState))
            out.put(", ")
        }
        out.put("QOS:")
        if flow.qosMap == 0 { out.put("-1") } else { out.put(flow.qosMap) }
        if flow.mirror != 0 {
            out.put(", Mirror:")
            out.put(flow.mirror)
        }
        out.put(", NH:")
        out.put(flow.nextHop)
        out.put(",  Stats:")
        out.put(flow.packets)
        out.put("/")
        out.put(flow.bytes)
        out.put(",\n")
        if flow.hasTranslation { out.put(text: " Becomes \(target(flow.translation)),\n") }
        out.put(" SPort ")
        out.put(flow.udpSourcePort)
        out.put(", Vif ")
        if let vif = ingress(flow) { out.put(vif) } else { out.put("-") }
        out.put(", Idle ")
        out.put(flow.idleSeconds)
        if flow.isForward { out.put(" s, forward)\n\n") } else { out.put(" s, reverse)\n\n") }
    }

    /// Nil (all ones on the wire) for an entry that no packet has taken yet.
    private static func ingress(_ flow: API.Flow) -> UInt32? { flow.ingressVif == .max ? nil : flow.ingressVif }

    private static func put(action flow: API.Flow, to out: inout TextBuffer) {
        switch flow.action {
        case .forward: out.put("F")
        case .hold: out.put("H")
        case .drop: out.put(text: flow.dropReason.isEmpty ? "D" : "D(\(printable(flow.dropReason)))")
        case .nat: out.put(text: "N(\(letters(flow.translation)))")
        case .unspecified: out.put("-")
        case .UNRECOGNIZED(let value): out.put(text: "?\(value)")
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
            case .hold: "hold"
            case .unspecified, .UNRECOGNIZED: "unknown"
            }
        return [
            "index": JSON(flow.index), "reverseIndex": flow.hasReverseIndex ? JSON(flow.reverseIndex) : .null, "vrf": JSON(flow.key.vrf),
            "protocol": JSON(flow.key.protocol), "source": JSON(addressText(flow.key.source)), "sourcePort": JSON(flow.key.sourcePort),
            "destination": JSON(addressText(flow.key.destination)), "destinationPort": JSON(flow.key.destinationPort), "action": JSON(action),
            "dropReason": flow.dropReason.isEmpty ? .null : JSON(flow.dropReason),
            "translation": flow.hasTranslation ? json(flow.translation) : .null, "isForward": JSON(flow.isForward), "tcpState": JSON(flow.tcpState),
            "packets": JSON(flow.packets), "bytes": JSON(flow.bytes),
            "nextHop": JSON(flow.nextHop), "ingressVif": JSON(ingress(flow)), "ownerVif": flow.ownerVif == .max ? .null : JSON(flow.ownerVif),
            "udpSourcePort": JSON(flow.udpSourcePort), "qosMap": flow.qosMap == 0 ? .null : JSON(flow.qosMap),
            "mirror": flow.mirror == 0 ? .null : JSON(flow.mirror),
            "idleSeconds": JSON(flow.idleSeconds), "generation": JSON(flow.generation), "evicted": JSON(flow.evicted), "fat": JSON(flow.fat),
            "cookie": JSON(cookieText(flow.cookie)),
        ]
    }
}
