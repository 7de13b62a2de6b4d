import ArgumentParser
import DataplaneAPI
import Foundation

struct VifCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vif",
        abstract: "Shows virtual interfaces.",
        discussion: """
            EXAMPLES
              vif --list              every vif with its counters
              vif --list --rate       and what passes per second, measured over one second
              vif --get 3 -o json     one vif
              vif --clear             set the counters back to zero
            """)

    @Flag(name: [.customShort("l"), .customLong("list")], help: "List every vif.") var list = false
    @Option(name: [.customShort("g"), .customLong("get")], help: ArgumentHelp("Show the vif with this id.", valueName: "id")) var get: UInt32?
    @Flag(help: "Measure for one second and show packets and bits per second.") var rate = false
    @Flag(help: "Set the counters of every vif back to zero.") var clear = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard [list, get != nil, clear].filter({ $0 }).count == 1 else { throw ValidationError("give one of --list, --get, --clear") }
        guard !(clear && rate) else { throw ValidationError("--rate goes with --list or --get") }
    }

    func run() async throws {
        try await connection.withRouter { router in
            if clear {
                try await router.clearCounters(drops: false, vifs: true)
                if outputOptions.output == .json { Context.current.output.write((["cleared": "vifs"] as JSON).pretty + "\n") }
            } else {
                try await show(router)
            }
        }
    }

    private func show(_ router: any RouterClient) async throws {
        let context = Context.current
        let started = context.now()
        var vifs = try await read(router)
        var rates: [UInt32: VifRates] = [:]
        if rate {
            try await context.pause(.seconds(1))
            let before = Dictionary(vifs.map { ($0.id, $0.stats) }, uniquingKeysWith: { first, _ in first })
            vifs = try await read(router)
            let seconds = context.now().timeIntervalSince(started)
            for vif in vifs { rates[vif.id] = before[vif.id].map { VifRates($0, vif.stats, seconds: seconds) } }
        }
        let ports = Dictionary(try await router.ports().map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let layout = VifLayout(ports: ports, nextHops: try await nextHops(router))
        switch outputOptions.output {
        case .json: context.output.write((["vifs": .array(vifs.map { layout.json($0, rates: rates[$0.id]) })] as JSON).pretty + "\n")
        case .table: context.output.write(VifLayout.header + vifs.map { layout.block($0, rates: rates[$0.id]) }.joined())
        }
    }

    private func read(_ router: any RouterClient) async throws -> [API.Vif] {
        let vifs = try await router.vifs(id: get)
        guard let get else { return vifs }
        guard let vif = vifs.first(where: { $0.id == get }) else { throw Failure.refused("no vif \(get); vif --list lists them") }
        return [vif]
    }

    /// Per vif the encap next hop that leads to it: the routed one where there are several, the lowest id among equals.
    private func nextHops(_ router: any RouterClient) async throws -> [UInt32: UInt32] {
        var routed: [UInt32: UInt32] = [:], bridged: [UInt32: UInt32] = [:]
        try await router.pages(TableQuery(table: .nextHop)) { page in
            for case .nextHop(let hop) in page {
                guard case .encap(let encap) = hop.kind else { continue }
                if encap.destinationMac.isEmpty {
                    bridged[encap.vif] = min(hop.id, bridged[encap.vif] ?? hop.id)
                } else {
                    routed[encap.vif] = min(hop.id, routed[encap.vif] ?? hop.id)
                }
            }
        }
        return routed.merging(bridged) { routed, _ in routed }
    }
}
