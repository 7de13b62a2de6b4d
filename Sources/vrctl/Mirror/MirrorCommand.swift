import ArgumentParser
import DataplaneAPI

struct MirrorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mirror", abstract: "Shows, makes and deletes mirrors: copies of what vifs receive and send.",
        discussion: """
            A source is the number of a vif, with :in (received by the router) or :out (sent) for one direction.

            EXAMPLES
              mirror --dump
              mirror --create 1 --vif 3 --vif 4:in --to-file /var/tmp/w.pcapng --max-size 100000000 --max-files 5
              mirror --create 2 --vif 3 --to-vif 9                  to a tap
              mirror --create 3 --vif 3 --to-vxlan 20:7000          VNI 7000 through next hop 20
              mirror --create 4 --vif 3 --to-erspan 20:5 --snap 128 ERSPAN type II, session 5
              mirror --delete 1
            """)
    @Flag(help: "List every mirror.") var dump = false
    @Option(help: ArgumentHelp("Show one mirror.", valueName: "id")) var get: UInt32?
    @Option(help: ArgumentHelp("Make, or change, a mirror.", valueName: "id")) var create: UInt32?
    @Option(help: ArgumentHelp("Delete a mirror.", valueName: "id")) var delete: UInt32?
    @Option(help: ArgumentHelp("A source; may be given more than once.", valueName: "vif[:in|:out]")) var vif: [String] = []
    @Option(help: ArgumentHelp("Copies go into this file, on vrouter's machine.", valueName: "path")) var toFile: String?
    @Option(help: ArgumentHelp("Octets of a file, after which another begins.", valueName: "octets")) var maxSize: UInt64?
    @Option(help: ArgumentHelp("Files kept; 1 when absent.", valueName: "count")) var maxFiles: UInt32?
    @Option(help: ArgumentHelp("Copies leave by this vif.", valueName: "vif")) var toVif: UInt32?
    @Option(help: ArgumentHelp("Copies go into VXLAN.", valueName: "nexthop:vni")) var toVxlan: String?
    @Option(help: ArgumentHelp("Copies go into ERSPAN type II.", valueName: "nexthop:session")) var toErspan: String?
    @Option(help: ArgumentHelp("Octets kept of each frame; all when absent.", valueName: "octets")) var snap: UInt32?
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard [dump, get != nil, create != nil, delete != nil].filter({ $0 }).count == 1 else {
            throw ValidationError("give one of --dump, --get, --create, --delete")
        }
        guard create == nil else {
            _ = try mirror()
            return
        }
        let isPlain = vif.isEmpty && snap == nil && [toFile, toVxlan, toErspan].allSatisfy { $0 == nil } && toVif == nil
        guard isPlain, maxSize == nil, maxFiles == nil else {
            throw ValidationError("--vif, --snap, --to-… and --max-… describe a mirror to make; they go with --create")
        }
    }

    private func mirror() throws -> API.Mirror {
        var mirror = API.Mirror()
        mirror.id = create ?? 0
        mirror.snapLength = snap ?? 0
        mirror.sources = try vif.map { text in
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            let directions: [Substring: API.Direction] = ["in": .received, "out": .sent, "both": .both]
            guard parts.count <= 2, let id = VifName.number(String(parts[0])), let direction = parts.count == 2 ? directions[parts[1]] : .both else {
                throw ValidationError("--vif \(text): a vif's number, with :in or :out for one direction")
            }
            var source = Dataplane_V1_MirrorSource()
            source.vif = id
            source.direction = direction
            return source
        }
        guard !mirror.sources.isEmpty else { throw ValidationError("--create needs a source: --vif") }
        guard [toFile != nil, toVif != nil, toVxlan != nil, toErspan != nil].filter({ $0 }).count == 1 else {
            throw ValidationError("give one of --to-file, --to-vif, --to-vxlan, --to-erspan")
        }
        guard toFile != nil || maxSize == nil && maxFiles == nil else { throw ValidationError("--max-size and --max-files go with --to-file") }
        guard maxFiles ?? 1 <= 1 || maxSize ?? 0 > 0 else {
            throw ValidationError("--max-files \(maxFiles ?? 1): without --max-size there is no second file; give a size")
        }
        if let toFile {
            mirror.file.path = toFile
            mirror.file.maximumSize = maxSize ?? 0
            mirror.file.maximumFiles = maxFiles ?? 1
        }
        if let toVif { mirror.vif = toVif }
        if let toVxlan { (mirror.vxlan.nextHop, mirror.vxlan.vni) = try pair(toVxlan, "--to-vxlan") }
        if let toErspan { (mirror.erspan.nextHop, mirror.erspan.session) = try pair(toErspan, "--to-erspan") }
        return mirror
    }

    private func pair(_ text: String, _ option: String) throws -> (UInt32, UInt32) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = UInt32(parts[0]), let second = UInt32(parts[1]) else {
            throw ValidationError("\(option) \(text): two numbers with a colon between them")
        }
        return (first, second)
    }

    func run() async throws {
        try await connection.withRouter { router in
            if create != nil || delete != nil {
                var operation = API.Operation()
                if create != nil { operation.upsert.mirror = try mirror() } else { operation.delete.mirror = delete ?? 0 }
                guard let result = try await router.apply([operation]).first else { throw Failure.refused("vrouter gave no answer") }
                guard result.code == .ok else { throw Failure.refused(printable(result.message)) }
                if outputOptions.output == .json {
                    let action = create != nil ? "applied" : "deleted"
                    Context.current.output.write((["mirror": JSON(create ?? delete), "action": JSON(action)] as JSON).pretty + "\n")
                }
                return
            }
            let mirrors = try await router.all(TableQuery(table: .mirror, id: get)) { if case .mirror(let mirror) = $0 { mirror } else { nil } }
            if let get, mirrors.isEmpty { throw Failure.refused("no mirror \(get)") }
            switch outputOptions.output {
            case .json: Context.current.output.write((["mirrors": .array(mirrors.map(MirrorLayout.json))] as JSON).pretty + "\n")
            case .table: Context.current.output.write(MirrorLayout.text(mirrors))
            }
        }
    }
}

/// The number in `3` or `vif0/3`.
enum VifName {
    static func number(_ text: String) -> UInt32? { UInt32(text.hasPrefix("vif0/") ? String(text.dropFirst(5)) : text) }
}

enum MirrorLayout {
    static func text(_ mirrors: [API.Mirror]) -> String {
        var columns = Columns("Index", "Sources", "Destination", "NextHop", "VNI/Session", "Snap", "Copies", "Lost")
        for mirror in mirrors {
            let (destination, nextHop, number) =
                switch mirror.destination {
                case .file(let file): ("file \(file.path)", "-", "-")
                case .vif(let vif): ("vif0/\(vif)", "-", "-")
                case .vxlan(let vxlan): ("VXLAN", "\(vxlan.nextHop)", "\(vxlan.vni)")
                case .erspan(let erspan): ("ERSPAN", "\(erspan.nextHop)", "\(erspan.session)")
                case nil: ("-", "-", "-")
                }
            columns.add(
                "\(mirror.id)", mirror.sources.map { "vif0/\($0.vif)\(suffix($0.direction))" }.joined(separator: ","), destination, nextHop, number,
                mirror.snapLength == 0 ? "all" : "\(mirror.snapLength)", "\(mirror.copies)", "\(mirror.lost)")
        }
        return "Mirror Table\n\n" + columns.text
    }

    static func json(_ mirror: API.Mirror) -> JSON {
        let destination: JSON =
            switch mirror.destination {
            case .file(let file):
                ["file": JSON(file.path), "maximumSize": JSON(file.maximumSize), "maximumFiles": JSON(file.maximumFiles)]
            case .vif(let vif): ["vif": JSON(vif)]
            case .vxlan(let vxlan): ["vxlan": ["nextHop": JSON(vxlan.nextHop), "vni": JSON(vxlan.vni)]]
            case .erspan(let erspan): ["erspan": ["nextHop": JSON(erspan.nextHop), "session": JSON(erspan.session)]]
            case nil: .null
            }
        return [
            "id": JSON(mirror.id),
            "sources": .array(mirror.sources.map { ["vif": JSON($0.vif), "direction": JSON($0.direction.word)] }), "destination": destination,
            "snapLength": JSON(mirror.snapLength), "copies": JSON(mirror.copies), "lost": JSON(mirror.lost),
            "cookie": JSON(cookieText(mirror.cookie)),
        ]
    }

    private static func suffix(_ direction: API.Direction) -> String {
        switch direction {
        case .received: ":in"
        case .sent: ":out"
        case .both, .UNRECOGNIZED: ""
        }
    }
}

extension API.Direction {
    var word: String {
        switch self {
        case .received: "in"
        case .sent: "out"
        case .both, .UNRECOGNIZED: "both"
        }
    }
}
