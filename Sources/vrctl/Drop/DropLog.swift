import DataplaneAPI
import Foundation

/// `dropstats --log`: one line per packet in the order of OpenSDN's tool, with the stage of the packet path where that has a source file.
enum DropLogLayout {
    static func line(_ packet: API.DroppedPacket, number: Int) -> String {
        var out = "sl no: \(number)  Epoch Time: \(packet.timeNs / 1_000_000_000)  Local Time: \(localTime(packet.timeNs))"
        out += "  Packet Type: \(type(packet.etherType))  Drop reason: \(printable(packet.label))  Vif idx: \(packet.vif)"
        if packet.hasNextHop { out += "  Nexthop id: \(packet.nextHop)" }
        if packet.hasVrf { out += "  Vrf: \(packet.vrf)" }
        if !packet.source.isEmpty { out += "  Src IP: \(addressText(packet.source))  Dst IP: \(addressText(packet.destination))" }
        if packet.hasProtocol { out += "  Proto: \(IPProtocolName.text(packet.protocol))" }
        if packet.hasSourcePort { out += "  Source port: \(packet.sourcePort)  Dest port: \(packet.destinationPort)" }
        if !packet.stage.isEmpty { out += "  file: \(printable(packet.stage))  line no: \(packet.line)" }
        return out + "  Packet Len: \(packet.length)\n"
    }

    static func json(_ packet: API.DroppedPacket) -> JSON {
        [
            "worker": JSON(packet.worker), "number": JSON(packet.number), "time": JSON(isoTime(packet.timeNs)),
            "timeNanoseconds": JSON(packet.timeNs),
            "reason": JSON(packet.reason), "label": JSON(packet.label), "stage": packet.stage.isEmpty ? .null : JSON(packet.stage),
            "line": packet.stage.isEmpty ? .null : JSON(packet.line), "vif": JSON(packet.vif),
            "nextHop": packet.hasNextHop ? JSON(packet.nextHop) : .null,
            "vrf": packet.hasVrf ? JSON(packet.vrf) : .null, "etherType": JSON(packet.etherType),
            "source": packet.source.isEmpty ? .null : JSON(addressText(packet.source)),
            "destination": packet.destination.isEmpty ? .null : JSON(addressText(packet.destination)),
            "protocol": packet.hasProtocol ? JSON(packet.protocol) : .null, "sourcePort": packet.hasSourcePort ? JSON(packet.sourcePort) : .null,
            "destinationPort": packet.hasDestinationPort ? JSON(packet.destinationPort) : .null, "length": JSON(packet.length),
            "octets": JSON(hexadecimal(packet.octets, separator: "")),
        ]
    }

    private static func type(_ etherType: UInt32) -> String {
        switch etherType {
        case 0x0800: "IPv4"
        case 0x86DD: "IPv6"
        case 0x0806: "ARP"
        default: "0x" + String(etherType, radix: 16)
        }
    }
}

/// `Fri Jul 24 09:09:04 2020`, in the zone of the machine.
func localTime(_ nanoseconds: UInt64) -> String { formatted(nanoseconds, "%a %b %e %H:%M:%S %Y", isUTC: false) }
/// `2020-07-24T09:09:04.123456Z`.
func isoTime(_ nanoseconds: UInt64) -> String {
    let micro = "\(nanoseconds % 1_000_000_000 / 1000)"
    return formatted(nanoseconds, "%Y-%m-%dT%H:%M:%S", isUTC: true) + "." + String(repeating: "0", count: 6 - micro.count) + micro + "Z"
}
/// `09:09:04.123456`, in the zone of the machine.
func clockTime(_ nanoseconds: UInt64) -> String {
    let micro = "\(nanoseconds % 1_000_000_000 / 1000)"
    return formatted(nanoseconds, "%H:%M:%S", isUTC: false) + "." + String(repeating: "0", count: 6 - micro.count) + micro
}
private func formatted(_ nanoseconds: UInt64, _ format: String, isUTC: Bool) -> String {
    var seconds = time_t(clamping: nanoseconds / 1_000_000_000), parts = tm()
    if isUTC { gmtime_r(&seconds, &parts) } else { localtime_r(&seconds, &parts) }
    var text = Array(repeating: CChar(0), count: 64)
    let length = strftime(&text, text.count, format, &parts)
    return String(decoding: text.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

struct DropLogOutput: Sendable {
    var format: OutputFormat
    var reason: String?
    var follow: Bool

    func run(_ router: any RouterClient, worker: UInt32?) async throws {
        if let reason {
            let known = try await router.status().drops
            guard known.isEmpty || known.contains(where: { matches(reason, $0.name, $0.label) }) else {
                throw Failure.refused("no drop reason \"\(printable(reason))\"; `dropstats -o json` lists them")
            }
        }
        let output = Context.current.output
        let collected = Collected()
        if format == .table { output.write(worker.map { "Pkt Drop Log for Core \($0)\n\n" } ?? "Pkt Drop Log\n\n") }
        try await router.dropLog(worker: worker, follow: follow) { packets in
            let wanted = packets.filter { packet in reason.map { matches($0, packet.reason, packet.label) } ?? true }
            let first = await collected.add(format == .json && !follow ? wanted : [], count: wanted.count)
            if format == .table {
                output.write(wanted.enumerated().map { DropLogLayout.line($1, number: first + $0) }.joined())
            } else if follow {
                output.write(wanted.map { DropLogLayout.json($0).compact + "\n" }.joined())
            }
        }
        if format == .json, !follow { output.write((["packets": .array(await collected.packets.map(DropLogLayout.json))] as JSON).pretty + "\n") }
    }

    private func matches(_ wanted: String, _ name: String, _ label: String) -> Bool {
        wanted.lowercased() == name || wanted.lowercased() == label.lowercased()
    }

    private actor Collected {
        var packets: [API.DroppedPacket] = []
        private var next = 1
        /// The number of the first.
        func add(_ more: [API.DroppedPacket], count: Int) -> Int {
            packets += more
            defer { next += count }
            return next
        }
    }
}
