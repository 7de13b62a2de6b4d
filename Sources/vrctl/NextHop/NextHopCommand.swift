import ArgumentParser
import DataplaneAPI

struct NextHopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nh",
        abstract: "Shows next hops.",
        discussion: """
            EXAMPLES
              nh --list               every next hop
              nh --get 23             one; members of a composite and what an indirect one stands for are shown too
              nh --get 23 -o json
            """)

    @Flag(name: [.customShort("l"), .customLong("list")], help: "List every next hop.") var list = false
    @Option(name: [.customShort("g"), .customLong("get")], help: ArgumentHelp("Show the next hop with this id, and its members.", valueName: "id"))
    var get: UInt32?
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard list != (get != nil) else { throw ValidationError("give one of --list, --get") }
    }

    func run() async throws {
        try await connection.withRouter { router in
            let output = Context.current.output
            let layout = NextHopLayout(vifs: Dictionary(try await router.vifs().map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first }))
            var stream = JSONArrayStream(key: "nextHops", output: output)
            func write(_ hops: [API.NextHop]) {
                switch outputOptions.output {
                case .table: output.write(hops.map(layout.block).joined())
                case .json: stream.write(hops.map(layout.json))
                }
            }
            if let get {
                write(try await expanded(get, router))
            } else {
                try await router.pages(TableQuery(table: .nextHop)) { page in
                    write(page.compactMap { if case .nextHop(let hop) = $0 { hop } else { nil } })
                }
            }
            if outputOptions.output == .json { stream.end() }
        }
    }

    /// A next hop and, for a composite, its members (for an indirect one, its target), theirs and so on; each once, at most 1000.
    private func expanded(_ id: UInt32, _ router: any RouterClient) async throws -> [API.NextHop] {
        var out: [API.NextHop] = [], waiting = [id], seen: Set<UInt32> = [id]
        while let next = waiting.first, out.count < 1000 {
            waiting.removeFirst()
            guard let hop = try await router.nextHop(next) else {
                if next == id { throw Failure.refused("no next hop \(id); nh --list lists them") }
                continue
            }
            out.append(hop)
            let members: [UInt32] =
                switch hop.kind {
                case .ecmp(let ecmp): ecmp.members.map(\.nextHop)
                case .multicast(let multicast): multicast.local + (multicast.evpn + multicast.fabric).map(\.nextHop)
                case .indirect(let indirect): [indirect.nextHop]
                default: []
                }
            waiting += members.filter { seen.insert($0).inserted }
        }
        return out
    }
}
