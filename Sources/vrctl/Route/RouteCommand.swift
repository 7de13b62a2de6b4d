import ArgumentParser
import DataplaneAPI
import NetTypes

extension RouteLayout.Family: ExpressibleByArgument {}

struct RouteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rt",
        abstract: "Shows routes and bridge entries of a VRF.",
        discussion: """
            A VRF is named by number or by name.

            EXAMPLES
              rt --dump 2                            IPv4 routes of VRF 2
              rt --dump blue --family inet6          IPv6 routes of the VRF named blue
              rt --dump 2 --family bridge            MAC addresses
              rt --get 10.1.0.10 --vrf 2             the route that packets to this address take
              rt --get 02:00:00:00:01:0a --vrf 2     one bridge entry
            """)

    @Option(name: [.customShort("d"), .customLong("dump")], help: ArgumentHelp("List the table of this VRF.", valueName: "vrf")) var dump: String?
    @Option(
        name: [.customShort("g"), .customLong("get")],
        help: ArgumentHelp("Show the longest match of an address or prefix, or one MAC.", valueName: "prefix"))
    var get: String?
    @Option(help: ArgumentHelp("With --get: the VRF.", valueName: "vrf")) var vrf: String?
    @Option(help: "inet, inet6 or bridge; --get finds it by itself.") var family: RouteLayout.Family?
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    private enum Subject { case prefix(IPPrefix), mac(MACAddress) }

    func validate() throws {
        guard (dump != nil) != (get != nil) else { throw ValidationError("give one of --dump VRF, --get PREFIX") }
        guard dump == nil || vrf == nil else { throw ValidationError("--vrf goes with --get; --dump takes the VRF itself") }
        if let get {
            guard vrf != nil else { throw ValidationError("--get needs --vrf") }
            _ = try subject(get)
        }
    }

    private func subject(_ text: String) throws -> Subject {
        let found: (Subject, RouteLayout.Family)
        if let mac = MACAddress(text) {
            found = (.mac(mac), .bridge)
        } else if let prefix = IPPrefix(text) {
            found = (.prefix(prefix), prefix.isIPv4 ? .inet : .inet6)
        } else {
            throw ValidationError(
                "'\(text)' is not an address, a prefix without host bits, or a MAC; write 10.1.0.10, 10.1.0.0/24 or 02:00:00:00:01:0a")
        }
        if let family, family != found.1 { throw ValidationError("'\(text)' is not of family \(family.rawValue)") }
        return found.0
    }

    func run() async throws {
        try await connection.withRouter { router in
            if let dump {
                let vrf = try await router.vrf(dump).id
                if family == .bridge { try await dumpBridge(vrf, router) } else { try await dumpRoutes(vrf, family ?? .inet, router) }
            } else if let get, let name = vrf {
                let vrf = try await router.vrf(name).id
                switch try subject(get) {
                case .prefix(let prefix): try await show(prefix, vrf, router)
                case .mac(let mac): try await show(mac, vrf, router)
                }
            }
        }
    }

    private func dumpRoutes(_ vrf: UInt32, _ family: RouteLayout.Family, _ router: any RouterClient) async throws {
        let output = Context.current.output
        var covering = CoveringPrefixes()
        var stream = JSONArrayStream(key: "routes", output: output)
        if outputOptions.output == .table { output.write(RouteLayout.legend + RouteLayout.title(family, vrf: vrf) + RouteLayout.headings(family)) }
        try await router.pages(TableQuery(table: .route, vrf: vrf, family: family.number)) { page in
            let lines = routes(page).map { route in (route, prefix(route).map { covering.parentLength(of: $0) } ?? 0) }
            switch outputOptions.output {
            case .table: output.write(lines.map { RouteLayout.line($0.0, parentLength: $0.1, family) }.joined())
            case .json: stream.write(lines.map { RouteLayout.json($0.0, parentLength: $0.1) })
            }
        }
        if outputOptions.output == .json { stream.end() }
    }

    private func dumpBridge(_ vrf: UInt32, _ router: any RouterClient) async throws {
        let output = Context.current.output
        var stream = JSONArrayStream(key: "bridgeEntries", output: output)
        if outputOptions.output == .table { output.write(RouteLayout.bridgeLegend + RouteLayout.bridgeTitle(vrf: vrf) + RouteLayout.bridgeHeadings) }
        try await router.pages(TableQuery(table: .bridge, vrf: vrf)) { page in
            switch outputOptions.output {
            case .table: output.write(entries(page).map { RouteLayout.line($0) }.joined())
            case .json: stream.write(entries(page).map { RouteLayout.json($0) })
            }
        }
        if outputOptions.output == .json { stream.end() }
    }

    /// The longest match, as a packet's lookup finds it.
    private func show(_ wanted: IPPrefix, _ vrf: UInt32, _ router: any RouterClient) async throws {
        let family: RouteLayout.Family = wanted.isIPv4 ? .inet : .inet6
        var covering = CoveringPrefixes()
        var best: (route: API.Route, length: Int, parent: Int)?
        try await router.pages(TableQuery(table: .route, vrf: vrf, family: family.number)) { page in
            for route in routes(page) {
                guard let prefix = prefix(route) else { continue }
                let parent = covering.parentLength(of: prefix)
                if prefix.contains(wanted), prefix.length >= best?.length ?? 0 { best = (route, prefix.length, parent) }
            }
        }
        guard let best else {
            throw Failure.refused("no route to \(wanted) in VRF \(vrf); rt --dump \(vrf) --family \(family.rawValue) lists the table")
        }
        switch outputOptions.output {
        case .json: Context.current.output.write((["routes": [RouteLayout.json(best.route, parentLength: best.parent)]] as JSON).pretty + "\n")
        case .table:
            Context.current.output.write(
                "Match \(wanted) in vRouter \(family.title) table 0/\(vrf)/unicast\n\n" + RouteLayout.legend + RouteLayout.title(family, vrf: vrf)
                    + RouteLayout.headings(family) + RouteLayout.line(best.route, parentLength: best.parent, family))
        }
    }

    private func show(_ mac: MACAddress, _ vrf: UInt32, _ router: any RouterClient) async throws {
        var found: API.BridgeEntry?
        try await router.pages(TableQuery(table: .bridge, vrf: vrf)) { page in
            if let entry = entries(page).first(where: { MACAddress(bytes: $0.mac) == mac }) { found = entry }
        }
        guard let found else { throw Failure.refused("no bridge entry \(mac) in VRF \(vrf); rt --dump \(vrf) --family bridge lists the table") }
        switch outputOptions.output {
        case .json: Context.current.output.write((["bridgeEntries": [RouteLayout.json(found)]] as JSON).pretty + "\n")
        case .table:
            Context.current.output.write(
                RouteLayout.bridgeLegend + RouteLayout.bridgeTitle(vrf: vrf) + RouteLayout.bridgeHeadings + RouteLayout.line(found))
        }
    }

    private func prefix(_ route: API.Route) -> IPPrefix? {
        IPAddress(bytes: route.address).flatMap { IPPrefix(masking: $0, length: Int(clamping: route.prefixLength)) }
    }
    private func routes(_ page: [API.Object.OneOf_Object]) -> [API.Route] {
        page.compactMap { if case .route(let route) = $0 { route } else { nil } }
    }
    private func entries(_ page: [API.Object.OneOf_Object]) -> [API.BridgeEntry] {
        page.compactMap { if case .bridgeEntry(let entry) = $0 { entry } else { nil } }
    }
}
