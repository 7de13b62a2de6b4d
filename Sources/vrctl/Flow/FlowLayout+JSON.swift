import DataplaneAPI
import Foundation

// `flow -l -o json`: what `FlowLayout.json` says, written straight to octets. A table of a million entries is 600 MB of text, and values made only to be written took four fifths of the time.
extension FlowLayout {
    /// As an element of the list, at an indentation of four.
    static func write(json flow: API.Flow, to out: inout TextBuffer) {
        let key = flow.key
        out.put("{\n      \"index\": ")
        out.put(flow.index)
        out.put(",\n      \"reverseIndex\": ")
        if flow.hasReverseIndex { out.put(flow.reverseIndex) } else { out.put("null") }
        out.put(",\n      \"vrf\": ")
        out.put(key.vrf)
        out.put(",\n      \"protocol\": ")
        out.put(key.protocol)
        out.put(",\n      \"source\": ")
        put(jsonAddress: key.source, to: &out)
        out.put(",\n      \"sourcePort\": ")
        out.put(key.sourcePort)
        out.put(",\n      \"destination\": ")
        put(jsonAddress: key.destination, to: &out)
        out.put(",\n      \"destinationPort\": ")
        out.put(key.destinationPort)
        out.put(",\n      \"action\": ")
        switch flow.action {
        case .forward: out.put("\"forward\"")
        case .drop: out.put("\"drop\"")
        case .nat: out.put("\"nat\"")
        case .hold: out.put("\"hold\"")
        case .unspecified, .UNRECOGNIZED: out.put("\"unknown\"")
        }
        out.put(",\n      \"dropReason\": ")
        if flow.dropReason.isEmpty { out.put("null") } else { out.put(quoted: flow.dropReason) }
        out.put(",\n      \"translation\": ")
        if flow.hasTranslation { write(json: flow.translation, to: &out) } else { out.put("null") }
        out.put(",\n      \"isForward\": ")
        put(json: flow.isForward, to: &out)
        out.put(",\n      \"tcpState\": ")
        out.put(quoted: flow.tcpState)
        out.put(",\n      \"packets\": ")
        out.put(flow.packets)
        out.put(",\n      \"bytes\": ")
        out.put(flow.bytes)
        out.put(",\n      \"nextHop\": ")
        out.put(flow.nextHop)
        out.put(",\n      \"ingressVif\": ")
        put(json: flow.ingressVif, none: .max, to: &out)
        out.put(",\n      \"ownerVif\": ")
        put(json: flow.ownerVif, none: .max, to: &out)
        out.put(",\n      \"udpSourcePort\": ")
        out.put(flow.udpSourcePort)
        out.put(",\n      \"qosMap\": ")
        put(json: flow.qosMap, none: 0, to: &out)
        out.put(",\n      \"mirror\": ")
        put(json: flow.mirror, none: 0, to: &out)
        out.put(",\n      \"idleSeconds\": ")
        out.put(flow.idleSeconds)
        out.put(",\n      \"generation\": ")
        out.put(flow.generation)
        out.put(",\n      \"evicted\": ")
        put(json: flow.evicted, to: &out)
        out.put(",\n      \"fat\": ")
        put(json: flow.fat, to: &out)
        out.put(",\n      \"cookie\": \"0x")
        out.put(hexadecimal: flow.cookie)
        out.put("\"\n    }")
    }

    private static func write(json translation: Dataplane_V1_FlowTranslation, to out: inout TextBuffer) {
        out.put("{\n        \"source\": ")
        if translation.source.isEmpty { out.put("null") } else { put(jsonAddress: translation.source, to: &out) }
        out.put(",\n        \"sourcePort\": ")
        if translation.hasSourcePort { out.put(translation.sourcePort) } else { out.put("null") }
        out.put(",\n        \"destination\": ")
        if translation.destination.isEmpty { out.put("null") } else { put(jsonAddress: translation.destination, to: &out) }
        out.put(",\n        \"destinationPort\": ")
        if translation.hasDestinationPort { out.put(translation.destinationPort) } else { out.put("null") }
        out.put(",\n        \"vrf\": ")
        if translation.hasVrf { out.put(translation.vrf) } else { out.put("null") }
        out.put("\n      }")
    }

    private static func put(json value: Bool, to out: inout TextBuffer) { if value { out.put("true") } else { out.put("false") } }

    private static func put(json number: UInt32, none: UInt32, to out: inout TextBuffer) {
        if number == none { out.put("null") } else { out.put(number) }
    }

    /// An address has nothing that would have to be escaped, whatever octets it is made of (`addressText`).
    private static func put(jsonAddress address: Data, to out: inout TextBuffer) {
        out.put("\"")
        out.put(address: address)
        out.put("\"")
    }
}
