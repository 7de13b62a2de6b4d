import Foundation

/// Capture files written by hand, octet by octet (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).
enum Capture {
    /// Magic number, version 2.4, no zone, no accuracy, snap length, link type; little-endian.
    static func header(magic: UInt32 = 0xa1b2_c3d4, snapLength: UInt32 = 65535, linkType: UInt32 = 1) -> [UInt8] {
        little(magic) + [2, 0, 4, 0] + little(0) + little(0) + little(snapLength) + little(linkType)
    }
    /// Seconds, fraction, captured length, length on the wire, octets.
    static func record(_ octets: [UInt8], seconds: UInt32 = 0, fraction: UInt32 = 0, wireLength: Int? = nil) -> [UInt8] {
        little(seconds) + little(fraction) + little(UInt32(octets.count)) + little(UInt32(wireLength ?? octets.count)) + octets
    }
    static func little(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    static func big(_ value: UInt32) -> [UInt8] { little(value).reversed() }

    /// An Ethernet frame of `size` octets (local experimental EtherType) whose payload is `fill`.
    static func frame(_ fill: UInt8, size: Int = 60) -> [UInt8] {
        [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5] + [UInt8](repeating: fill, count: size - 14)
    }
}

/// A directory of its own, removed at the end.
final class Directory {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "/PcapPortTests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ octets: [UInt8], as name: String) throws -> String {
        try Data(octets).write(to: URL(fileURLWithPath: path + "/" + name))
        return path + "/" + name
    }
    func file(_ name: String) -> String { path + "/" + name }
    func octets(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }
}
