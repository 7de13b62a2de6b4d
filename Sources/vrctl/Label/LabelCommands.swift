import ArgumentParser
import DataplaneAPI

/// `mpls` and `vxlan` are one tool over two tables.
struct LabelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mpls", abstract: "Shows the MPLS input label map.",
        discussion: "EXAMPLES\n  mpls --dump          every label\n  mpls --get 16        one label")
    @OptionGroup var selection: NumberSelection
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await listNumbers(.mpls, selection, outputOptions.output, connection) { object in
            if case .label(let entry) = object { (entry.label, entry.nextHop, entry.cookie) } else { nil }
        }
    }
}

struct VNICommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vxlan", abstract: "Shows the table of VXLAN network identifiers.",
        discussion: "EXAMPLES\n  vxlan --dump         every VNI\n  vxlan --get 5001     one VNI")
    @OptionGroup var selection: NumberSelection
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await listNumbers(.vxlan, selection, outputOptions.output, connection) { object in
            if case .vni(let entry) = object { (entry.vni, entry.nextHop, entry.cookie) } else { nil }
        }
    }
}

struct NumberSelection: ParsableArguments {
    @Flag(name: [.customShort("d"), .customLong("dump")], help: "List the table.") var dump = false
    @Option(name: [.customShort("g"), .customLong("get")], help: ArgumentHelp("Show one entry.", valueName: "number")) var get: UInt32?

    func validate() throws {
        guard dump != (get != nil) else { throw ValidationError("give one of --dump, --get") }
    }
}

private func listNumbers(
    _ table: LabelLayout.Table, _ selection: NumberSelection, _ format: OutputFormat, _ connection: ConnectionOptions,
    _ select: @escaping @Sendable (API.Object.OneOf_Object) -> (number: UInt32, nextHop: UInt32, cookie: UInt64)?
) async throws {
    try await connection.withRouter { router in
        let output = Context.current.output
        let (key, field, tool) = table == .mpls ? ("labels", "label", "mpls") : ("vnis", "vni", "vxlan")
        var stream = JSONArrayStream(key: key, output: output)
        var isFirst = true, found = false
        try await router.pages(TableQuery(table: table == .mpls ? .label : .vni, id: selection.get)) { page in
            let entries = page.compactMap(select).filter { selection.get == nil || $0.number == selection.get }
            found = found || !entries.isEmpty
            switch format {
            case .json: stream.write(entries.map { [field: JSON($0.number), "nextHop": JSON($0.nextHop), "cookie": JSON(cookieText($0.cookie))] })
            case .table:
                let header = isFirst && (selection.get == nil || found) ? table.header : ""
                output.write(header + entries.map { LabelLayout.line(table, $0.number, nextHop: $0.nextHop) }.joined())
            }
            isFirst = false
        }
        if let wanted = selection.get, !found { throw Failure.refused("no \(field) \(wanted); \(tool) --dump lists them") }
        if format == .json { stream.end() }
    }
}
