import ArgumentParser
import DataplaneAPI
import Foundation
import NetTypes
import SwiftProtobuf
import Synchronization

/// `vrctl nat usage`: how many of the ports of shared external addresses are in use. A port may be used towards many ends at once, so what runs out is told by the end that has
/// the most.
struct NATUsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Shows how many of the ports of shared external addresses are in use.",
        discussion:
            "A connection takes a port of the address towards one end: the same port may serve other ends. The busiest end shows how near exhaustion is."
    )
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let rules = try await router.all(TableQuery(table: .natRule)) { if case .natRule(let rule) = $0 { rule } else { nil } }
            var blocks: Set<NATUsage.Block> = []
            for rule in rules {
                guard case .source(let source)? = rule.kind, source.hasPorts else { continue }
                blocks.insert(NATUsage.Block(vrf: source.outsideVrf, address: source.address, first: source.ports.first, last: source.ports.last))
            }
            let usage = Mutex(NATUsage(blocks))
            for address in Set(blocks.map(\.address)) {
                var filter = Dataplane_V1_FlowFilter()
                filter.action = .nat
                filter.endpoints = [.with { $0.address = address }]
                try await router.listFlows(filter) { flows in usage.withLock { usage in flows.forEach { usage.count($0) } } }
            }
            let exhausted = try await router.status().drops.first { $0.name == "nat_ports_exhausted" }?.packets ?? 0
            let output = Context.current.output
            usage.withLock { output.write(outputOptions.output == .json ? $0.json(exhausted).pretty + "\n" : $0.text(exhausted)) }
        }
    }
}

struct NATUsage: Sendable {
    /// The ports of an address that are this router's.
    struct Block: Hashable, Sendable {
        var vrf: UInt32
        var address: Data
        var first: UInt32
        var last: UInt32
        var size: Int { Int(last) - Int(first) + 1 }
    }
    struct End: Hashable, Sendable {
        var proto: UInt32
        var address: Data
        /// 0 for an echo, which has none.
        var port: UInt32
    }
    struct Use: Sendable {
        var flows = 0
        var ports: Set<UInt32> = []
        var ends: [End: Int] = [:]
        /// The one that has the most ports; of several the first by address.
        var busiest: (end: End, count: Int)? {
            ends.min { ($1.value, $0.key.address.bytes, $0.key.port) < ($0.value, $1.key.address.bytes, $1.key.port) }.map { ($0.key, $0.value) }
        }
    }
    private(set) var uses: [Block: Use]

    init(_ blocks: Set<Block>) { uses = Dictionary(uniqueKeysWithValues: blocks.map { ($0, Use()) }) }

    /// A flow's entry for what comes back: from the far end to a port of the address.
    mutating func count(_ flow: API.Flow) {
        guard !flow.isForward else { return }
        let key = flow.key, isEcho = key.protocol == 1 || key.protocol == 58
        let block = uses.keys.first {
            $0.vrf == key.vrf && $0.address == key.destination && ($0.first...max($0.first, $0.last)).contains(key.destinationPort)
        }
        guard let block else { return }
        uses[block]?.flows += 1
        uses[block]?.ports.insert(key.destinationPort)
        uses[block]?.ends[End(proto: key.protocol, address: key.source, port: isEcho ? 0 : key.sourcePort), default: 0] += 1
    }

    private var sorted: [(key: Block, value: Use)] {
        uses.sorted { ($0.key.vrf, $0.key.address.bytes, $0.key.first) < ($1.key.vrf, $1.key.address.bytes, $1.key.first) }
    }

    func text(_ exhausted: UInt64) -> String {
        var columns = Columns("ADDRESS", "VRF", "PORTS", "FLOWS", "USED", "FREE", "BUSIEST END", "USED THERE", "FREE THERE")
        for (block, use) in sorted {
            let busiest = use.busiest
            columns.add(
                addressText(block.address), "\(block.vrf)", "\(block.first)-\(block.last)", "\(use.flows)", "\(use.ports.count)",
                "\(block.size - use.ports.count)", busiest.map { Self.text($0.end) } ?? "-", "\(busiest?.count ?? 0)",
                "\(block.size - (busiest?.count ?? 0))")
        }
        return columns.text + "\nPackets dropped because all ports were in use: \(exhausted)\n"
    }

    func json(_ exhausted: UInt64) -> JSON {
        [
            "blocks": .array(
                sorted.map { block, use in
                    let busiest = use.busiest
                    return [
                        "address": JSON(addressText(block.address)), "vrf": JSON(block.vrf), "first": JSON(block.first), "last": JSON(block.last),
                        "flows": JSON(use.flows), "used": JSON(use.ports.count), "free": JSON(block.size - use.ports.count),
                        "busiest": busiest.map { ["end": JSON(Self.text($0.end)), "used": JSON($0.count), "free": JSON(block.size - $0.count)] }
                            ?? .null,
                    ]
                }), "exhausted": JSON(exhausted),
        ]
    }

    private static func text(_ end: End) -> String {
        let name = [1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"][end.proto] ?? "\(end.proto)"
        return "\(name) \(addressText(end.address))" + (end.port > 0 ? " \(end.port)" : "")
    }
}

extension Data {
    /// So that addresses have an order.
    fileprivate var bytes: String { map { String(UInt16($0) | 0x100, radix: 16) }.joined() }
}
