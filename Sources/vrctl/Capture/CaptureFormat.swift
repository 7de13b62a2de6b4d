import DataplaneAPI
import Foundation

/// Captured frames as a capture file, as lines of text, as JSON.
enum CaptureFormat {
    /// The header of a pcap file with nanoseconds, link type Ethernet, in this machine's byte order (draft-ietf-opsawg-pcap).
    static func pcapHeader(snapLength: UInt32) -> [UInt8] {
        words([0xA1B2_3C4D, 4 << 16 | 2, 0, 0, snapLength == 0 ? 262_144 : snapLength, 1])
    }

    static func pcapRecord(_ frame: API.CapturedFrame) -> [UInt8] {
        words([
            UInt32(truncatingIfNeeded: frame.timeNs / 1_000_000_000), UInt32(frame.timeNs % 1_000_000_000), UInt32(frame.octets.count), frame.length,
        ]) + frame.octets
    }

    private static func words(_ values: [UInt32]) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    }

    /// `12:00:00.000001 vif0/3 In  02:..:01 > 02:..:02 IPv4 10.1.0.11.1000 > 10.1.0.12.80 tcp length 74`
    static func line(_ frame: API.CapturedFrame) -> String {
        let summary = FrameText(Array(frame.octets))
        return "\(clockTime(frame.timeNs)) vif0/\(frame.vif) \(frame.sent ? "Out" : "In ") \(summary.text) length \(frame.length)\n"
    }

    static func json(_ frame: API.CapturedFrame) -> JSON {
        [
            "time": JSON(isoTime(frame.timeNs)), "vif": JSON(frame.vif), "direction": JSON(frame.sent ? "out" : "in"), "length": JSON(frame.length),
            "summary": JSON(FrameText(Array(frame.octets)).text), "octets": JSON(hexadecimal(frame.octets, separator: "")),
        ]
    }
}

/// One line about a frame, where tcpdump is not at hand. Reads only what it was given.
struct FrameText {
    let octets: [UInt8]
    init(_ octets: [UInt8]) { self.octets = octets }

    private func word(_ at: Int) -> Int? { at + 2 <= octets.count ? Int(octets[at]) << 8 | Int(octets[at + 1]) : nil }
    private func address(_ at: Int, _ size: Int) -> String { at + size <= octets.count ? addressText(Data(octets[at..<at + size])) : "?" }
    private func mac(_ at: Int) -> String { at + 6 <= octets.count ? hexadecimal(octets[at..<at + 6], separator: ":") : "?" }

    var text: String {
        var at = 12, out = "\(mac(6)) > \(mac(0))"
        while let type = word(at), type == 0x8100 || type == 0x88A8, at < 24 {
            out += " vlan \((word(at + 2) ?? 0) & 0xFFF)"
            at += 4
        }
        guard let type = word(at) else { return out + " [cut]" }
        at += 2
        switch type {
        case 0x0800:
            guard at + 20 <= octets.count else { return out + " IPv4 [cut]" }
            let isFirst = (word(at + 6) ?? 0) & 0x1FFF == 0
            return out + " IPv4 " + ip(address(at + 12, 4), address(at + 16, 4), octets[at + 9], isFirst ? at + Int(octets[at] & 15) * 4 : nil)
        case 0x86DD:
            guard at + 40 <= octets.count else { return out + " IPv6 [cut]" }
            return out + " IPv6 " + ip(address(at + 8, 16), address(at + 24, 16), octets[at + 6], at + 40)
        case 0x0806:
            let operation =
                word(at + 6) == 1 ? "who-has \(address(at + 24, 4)) tell \(address(at + 14, 4))" : "\(address(at + 14, 4)) is-at \(mac(at + 8))"
            return out + " ARP " + operation
        default: return out + " type 0x" + String(type, radix: 16)
        }
    }

    private func ip(_ source: String, _ destination: String, _ proto: UInt8, _ transport: Int?) -> String {
        let name = IPProtocolName.text(UInt32(proto))
        guard [6, 17, 132].contains(proto), let transport, let from = word(transport), let to = word(transport + 2) else {
            return "\(source) > \(destination) \(name)"
        }
        return "\(source).\(from) > \(destination).\(to) \(name)"
    }
}
