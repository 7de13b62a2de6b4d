import ArgumentParser

struct GetCommand: AsyncParsableCommand {
    enum Format: String, CaseIterable, ExpressibleByArgument { case table, json, yaml }

    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Lists configuration objects.",
        discussion: """
            A kind may be written in full, in the plural or short: VirtualNetwork, networks, vn; Port, ports; ComputeNode, nodes.

            EXAMPLES
              vrctl get networks
              vrctl get port blue-a -o yaml
            """)

    @Argument(help: "Kind of object.") var kind: Kind
    @Argument(help: "Name of one object; all when absent.") var name: String?
    @Option(name: [.customShort("o"), .customLong("output")], help: "table, json or yaml.") var output: Format = .table
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let endpoint = connection.controllerEndpoint
        let objects: [JSON]
        if let name {
            objects = [try await endpoint.call(.get, ["v1", "objects", kind.rawValue, name])]
        } else {
            objects = try await endpoint.call(.get, ["v1", "objects"], query: [("kind", kind.rawValue)])["objects"]?.array ?? []
        }
        let text =
            switch output {
            case .table: ObjectText.table(kind, objects)
            case .json: (["objects": .array(objects)] as JSON).pretty + "\n"
            case .yaml: try ObjectText.yaml(objects)
            }
        Context.current.output.write(text)
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
            With -f, the objects that the file names are deleted, those that need others first. What does not exist is refused.

            EXAMPLES
              vrctl delete port blue-a
              vrctl delete -f all.yaml
            """)

    @Argument(help: "Kind of object.") var kind: Kind?
    @Argument(help: "Name of the object.") var name: String?
    @Option(name: [.customShort("f"), .customLong("file")], help: ArgumentHelp("YAML file that names the objects, - for standard input.", valueName: "file"))
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
        var results: [JSON] = []
        for key in keys {
            _ = try await connection.controllerEndpoint.call(.delete, ["v1", "objects", key.kind.rawValue, key.name])
            results.append(["kind": JSON(key.kind.rawValue), "name": JSON(key.name), "action": "deleted"])
            if outputOptions.output == .table { context.output.write("\(key.kind.rawValue)/\(printable(key.name)) deleted\n") }
        }
        if outputOptions.output == .json { context.output.write((["results": .array(results)] as JSON).pretty + "\n") }
    }
}
