import ArgumentParser
import DataplaneAPI

struct QoSMapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "qosmap", abstract: "Shows QoS maps: which forwarding class a packet is of, by what it carries.",
        discussion: """
            EXAMPLES
              vrctl qosmap --dump           every map
              vrctl qosmap --get 9          one map
              vrctl qosmap --get 9 -o json
            """)
    @OptionGroup var selection: NumberSelection
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await listNumbered(
            "qosMaps", "QoS map", "vrctl qosmap", .qosMap, selection, outputOptions.output, connection, header: QoSLayout.mapHeader
        ) {
            if case .qosMap(let map) = $0 { (map.id, QoSLayout.text(map), QoSLayout.json(map)) } else { nil }
        }
    }
}

struct ForwardingClassCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forwarding-class", abstract: "Shows forwarding classes: how the packets of a class are marked.",
        discussion: """
            EXAMPLES
              vrctl forwarding-class --dump           every class
              vrctl forwarding-class --get 5          one class
              vrctl forwarding-class --get 5 -o json
            """)
    @OptionGroup var selection: NumberSelection
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await listNumbered(
            "forwardingClasses", "forwarding class", "vrctl forwarding-class", .forwardingClass, selection, outputOptions.output, connection,
            header: QoSLayout.classHeader
        ) {
            if case .forwardingClass(let message) = $0 { (message.id, QoSLayout.text(message), QoSLayout.json(message)) } else { nil }
        }
    }
}

private func listNumbered(
    _ key: String, _ name: String, _ tool: String, _ table: API.Table, _ selection: NumberSelection, _ format: OutputFormat,
    _ connection: ConnectionOptions, header: String,
    _ select: @escaping @Sendable (API.Object.OneOf_Object) -> (id: UInt32, text: String, json: JSON)?
) async throws {
    try await connection.withRouter { router in
        let output = Context.current.output
        let entries = try await router.all(TableQuery(table: table, id: selection.get), select).filter {
            selection.get == nil || $0.id == selection.get
        }
        if let wanted = selection.get, entries.isEmpty { throw Failure.refused("no \(name) \(wanted); \(tool) --dump lists them") }
        switch format {
        case .json:
            var stream = JSONArrayStream(key: key, output: output)
            stream.write(entries.map(\.json))
            stream.end()
        case .table: output.write(header + entries.map(\.text).joined())
        }
    }
}

/// The layouts of `qosmap` and `forwarding-class`.
enum QoSLayout {
    static let classHeader = "Forwarding Class Map\n\n FC    DSCP   EXP   802.1p\n--------------------------\n"
    static let mapHeader = "QOS Map\n\n"

    static func text(_ message: Dataplane_V1_ForwardingClass) -> String {
        "\(message.id)".aligned(3) + "\(message.dscp)".aligned(8) + "\(message.trafficClass)".aligned(6) + "\(message.vlanPriority)".aligned(9) + "\n"
    }

    /// A block per map: what a packet carries, and its class.
    static func text(_ map: Dataplane_V1_QosMap) -> String {
        func rows(_ title: String, _ classes: [UInt32: UInt32]) -> String {
            guard !classes.isEmpty else { return "" }
            let lines = classes.sorted { $0.key < $1.key }.map { "\($0.key)".aligned(8) + "\($0.value)".aligned(6) + "\n" }
            return title.aligned(8) + "    FC\n" + lines.joined()
        }
        return "Id: \(map.id)\n" + rows("DSCP", map.dscp) + rows("EXP", map.trafficClass) + rows("802.1p", map.vlanPriority) + "\n"
    }

    static func json(_ message: Dataplane_V1_ForwardingClass) -> JSON {
        [
            "id": JSON(message.id), "dscp": JSON(message.dscp), "trafficClass": JSON(message.trafficClass),
            "vlanPriority": JSON(message.vlanPriority), "cookie": JSON(cookieText(message.cookie)),
        ]
    }

    static func json(_ map: Dataplane_V1_QosMap) -> JSON {
        func list(_ classes: [UInt32: UInt32]) -> JSON {
            .array(classes.sorted { $0.key < $1.key }.map { ["from": JSON($0.key), "class": JSON($0.value)] })
        }
        return [
            "id": JSON(map.id), "dscp": list(map.dscp), "trafficClass": list(map.trafficClass), "vlanPriority": list(map.vlanPriority),
            "cookie": JSON(cookieText(map.cookie)),
        ]
    }
}
