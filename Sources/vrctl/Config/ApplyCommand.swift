import ArgumentParser

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Gives the controller configuration; what is there already is changed to match.",
        discussion: """
            A file is applied as a whole or not at all. Files are applied in the order given; the first that is refused ends the command.

            EXAMPLES
              vrctl apply -f networks.yaml -f ports.yaml
              vrctl apply -f - < all.yaml
              vrctl apply --dry-run -f networks.yaml
            """)

    @OptionGroup var input: ObjectFiles
    @Flag(help: "Only check: say what would be done, store nothing.") var dryRun = false
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let context = Context.current
        var results: [JSON] = []
        for (source, text) in try input.read() {
            let reply = try await connection.controllerEndpoint.call(
                .post, ["v1", "apply"], query: [("dryRun", dryRun ? "true" : "false")], headers: sourceHeaders(source), body: text)
            let new = reply["results"]?.array ?? []
            results += new
            if outputOptions.output == .table {
                context.output.write(new.map { "\(title($0)) \(printable($0["action"]?.text ?? "?"))\(dryRun ? " (dry run)" : "")\n" }.joined())
            }
        }
        if outputOptions.output == .json { context.output.write((["results": .array(results)] as JSON).pretty + "\n") }
    }
}

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Shows what apply would change. Exit code 1 when something would.",
        discussion: "EXAMPLES\n  vrctl diff -f networks.yaml")

    @OptionGroup var input: ObjectFiles
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let context = Context.current
        var diffs: [JSON] = []
        for (source, text) in try input.read() {
            let reply = try await connection.controllerEndpoint.call(.post, ["v1", "diff"], headers: sourceHeaders(source), body: text)
            diffs += reply["diffs"]?.array ?? []
        }
        switch outputOptions.output {
        case .json: context.output.write((["diffs": .array(diffs)] as JSON).pretty + "\n")
        case .table: context.output.write(diffs.map(Self.text).joined())
        }
        if diffs.contains(where: Self.isDifferent) { throw ExitCode(Failure.Kind.refused.rawValue) }
    }

    static func isDifferent(_ diff: JSON) -> Bool { diff["action"]?.text != "unchanged" }

    /// `+` created, `~` updated with one line per field, `-` deleted; unchanged objects are not shown.
    static func text(_ diff: JSON) -> String {
        guard isDifferent(diff) else { return "" }
        let action = diff["action"]?.text ?? "?"
        let line: String
        switch action {
        case "created": line = Style.good("+ \(title(diff))")
        case "deleted": line = Style.bad("- \(title(diff))")
        default: line = Style.warning("~ \(title(diff))")
        }
        let changes = (diff["changes"]?.array ?? []).map { change in
            let (field, from, to) = (change["field"]?.text ?? "?", ObjectText.cell(change["from"]), ObjectText.cell(change["to"]))
            return "    \(printable("\(field): \(from) -> \(to)"))\n"
        }
        return line + "\n" + changes.joined()
    }
}

struct ObjectFiles: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("YAML file, - for standard input; may be given several times.", valueName: "file"))
    var files: [String]

    func validate() throws {
        guard files.filter({ $0 == "-" }).count <= 1 else { throw ValidationError("standard input (-) can be read once") }
    }

    /// All of them before anything is sent: a missing last file should not leave half of the work done.
    func read() throws -> [(source: String, text: String)] { try files.map { ($0, try Context.current.readFile($0)) } }
}

private func title(_ result: JSON) -> String { printable("\(result["kind"]?.text ?? "?")/\(result["name"]?.text ?? "?")") }

/// The file's name for the controller's messages. Header values are visible ASCII (RFC 9110 section 5.5).
private func sourceHeaders(_ source: String) -> [(String, String)] {
    let name = source == "-" ? "standard input" : source
    let visible = String(String.UnicodeScalarView(name.unicodeScalars.map { (0x20...0x7E).contains($0.value) ? $0 : "?" }))
    return [("Content-Type", "application/yaml"), ("X-Source-Name", visible)]
}
