import ArgumentParser

struct GetCommand: AsyncParsableCommand {
    enum Format: String, CaseIterable, ExpressibleByArgument { case table, json, yaml }

    /// A kind of object; all of them; or the routes the controller has, which nobody configures.
    enum Subject: Hashable, ExpressibleByArgument {
        case kind(Kind), all, routes
        init?(argument: String) {
            switch argument.lowercased() {
            case "all": self = .all
            case "routes", "route": self = .routes
            default:
                guard let kind = Kind(name: argument) else { return nil }
                self = .kind(kind)
            }
        }
        static var allValueStrings: [String] { Kind.allValueStrings + ["routes", "all"] }
    }

    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Lists configuration objects, or the routes agents have told.",
        discussion: """
            A kind may be written in full, in the plural or short: VirtualNetwork,
            networks, vn; Port, ports; ComputeNode, nodes.

            EXAMPLES
              vrctl get networks
              vrctl get port blue-a -o yaml
              vrctl get all -o yaml > backup.yaml
              vrctl get routes blue
            """)

    @Argument(help: "Kind of object.") var subject: Subject
    @Argument(help: "Name of one object, or network whose routes are wanted; all when absent.") var name: String?
    @Option(name: [.customShort("o"), .customLong("output")], help: "table, json or yaml.") var output: Format = .table
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard subject != .all || name == nil else { throw ValidationError("all takes no name; name the kind: get port \(name ?? "")") }
    }

    func run() async throws {
        let endpoint = connection.controllerEndpoint
        let context = Context.current
        switch subject {
        case .routes:
            let query = name.map { [("vrf", $0)] } ?? []
            let routes = try await endpoint.call(.get, ["v1", "routes"], query: query)["routes"]?.array ?? []
            switch output {
            case .table: context.output.write(ObjectText.routeTable(routes))
            case .json: context.output.write((["routes": .array(routes)] as JSON).pretty + "\n")
            case .yaml: context.output.write(try ObjectText.yaml(routes))
            }
        case .kind(let kind):
            let objects =
                if let name { [try await endpoint.call(.get, ["v1", "objects", kind.rawValue, name])] } else { try await list(kind, endpoint) }
            try write([(kind, objects)])
        case .all:
            var groups: [(Kind, [JSON])] = []
            for kind in Kind.allCases { groups.append((kind, try await list(kind, endpoint))) }
            try write(groups)
        }
    }

    private func list(_ kind: Kind, _ endpoint: Endpoint) async throws -> [JSON] {
        try await endpoint.call(.get, ["v1", "objects"], query: [("kind", kind.rawValue)])["objects"]?.array ?? []
    }

    private func write(_ groups: [(kind: Kind, objects: [JSON])]) throws {
        let output = Context.current.output
        switch self.output {
        case .json: output.write((["objects": .array(groups.flatMap(\.objects))] as JSON).pretty + "\n")
        case .yaml: output.write(try ObjectText.yaml(groups.flatMap(\.objects)))
        case .table:
            output.write(
                groups.map { (groups.count > 1 ? "\($0.kind.rawValue)\n" : "") + ObjectText.table($0.kind, $0.objects) }.joined(separator: "\n"))
        }
    }
}

struct DescribeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Shows everything about one configuration object.", discussion: "EXAMPLES\n  vrctl describe network blue")

    @Argument(help: "Kind of object.") var kind: Kind
    @Argument(help: "Name of the object.") var name: String
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let object = try await connection.controllerEndpoint.call(.get, ["v1", "objects", kind.rawValue, name])
        Context.current.output.write(outputOptions.output == .json ? (["object": object] as JSON).pretty + "\n" : ObjectText.description(object))
    }
}

struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Deletes configuration objects.",
        discussion: """
            With -f, the objects that the file names are deleted together, all or none. What does not exist is refused, and so is what objects that stay need.

            EXAMPLES
              vrctl delete port blue-a
              vrctl delete -f all.yaml
            """)

    @Argument(help: "Kind of object.") var kind: Kind?
    @Argument(help: "Name of the object.") var name: String?
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("YAML file that names the objects, - for standard input.", valueName: "file"))
    var file: String?
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard file != nil ? kind == nil && name == nil : kind != nil && name != nil else { throw ValidationError("give KIND and NAME, or -f FILE") }
    }

    func run() async throws {
        let context = Context.current
        var keys: [(kind: Kind, name: String)] = []
        if let file { keys = try Documents.names(try context.readFile(file), source: file == "-" ? "standard input" : file) }
        if let kind, let name { keys = [(kind, name)] }
        keys = keys.enumerated().sorted { ($0.element.kind.deletionRank, $1.offset) < ($1.element.kind.deletionRank, $0.offset) }.map(\.element)
        if file == nil, let key = keys.first {
            _ = try await connection.controllerEndpoint.call(.delete, ["v1", "objects", key.kind.rawValue, key.name])
        } else {
            let list = JSON.array(keys.map { ["kind": JSON($0.kind.rawValue), "name": JSON($0.name)] })
            _ = try await connection.controllerEndpoint.call(.post, ["v1", "delete"], body: list.compact)
        }
        if outputOptions.output == .json {
            let results = keys.map { ["kind": JSON($0.kind.rawValue), "name": JSON($0.name), "action": "deleted"] as JSON }
            context.output.write((["results": .array(results)] as JSON).pretty + "\n")
        } else {
            for key in keys { context.output.write("\(key.kind.rawValue)/\(printable(key.name)) deleted\n") }
        }
    }
}
