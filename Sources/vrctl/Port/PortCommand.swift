import ArgumentParser
import NetTypes

struct PortCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "port", abstract: "Attaches workloads on this node, through the agent.",
        subcommands: [PortAddCommand.self, PortDeleteCommand.self, PortListCommand.self])
}

struct PortAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Tells the agent which interface a port is.",
        discussion: """
            The port becomes active when its configuration has come from the controller too, in either order.

            EXAMPLES
              vrctl port add --id blue-a --interface tap-blue-a --network blue --mac 02:00:00:00:01:0a --address 10.1.0.10
            """)

    @Option(help: ArgumentHelp("UUID or name of the configured Port.", valueName: "id")) var id: String
    @Option(help: ArgumentHelp("Interface on this node.", valueName: "name")) var interface: String
    @Option(help: ArgumentHelp("Name of the network.", valueName: "name")) var network: String
    @Option(help: ArgumentHelp("MAC address of the workload.", valueName: "mac")) var mac: String
    @Option(help: ArgumentHelp("Address of the workload; one IPv4 and one IPv6 address at most.", valueName: "address")) var address: [String] = []
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws { _ = try body() }

    /// The request of the port API that OpenSDN's tools send.
    func body() throws -> JSON {
        guard let mac = MACAddress(mac), !mac.isMulticast, mac != .zero else {
            throw ValidationError("--mac '\(mac)' is not a unicast MAC address; write 02:00:00:00:01:0a")
        }
        var members: [JSON.Member] = [
            .init(key: "id", value: JSON(id)), .init(key: "system-name", value: JSON(interface)), .init(key: "vn-id", value: JSON(network)),
            .init(key: "mac-address", value: JSON(mac.description)),
        ]
        for text in address {
            guard let address = IPAddress(text) else {
                throw ValidationError("--address '\(text)' is not an IP address; write 10.1.0.10 or fd00:1::10")
            }
            let key = address.isIPv4 ? "ip-address" : "ip6-address"
            guard !members.contains(where: { $0.key == key }) else { throw ValidationError("--address: one IPv4 and one IPv6 address at most") }
            members.append(.init(key: key, value: JSON(address.description)))
        }
        return .object(members)
    }

    func run() async throws {
        _ = try await connection.agentEndpoint.call(.post, ["port"], headers: [("Content-Type", "application/json")], body: try body().compact)
        Context.current.output.write(
            outputOptions.output == .json ? (["port": ["id": JSON(id), "action": "added"]] as JSON).pretty + "\n" : "port \(printable(id)) added\n")
    }
}

struct PortDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Detaches a port from its interface.", discussion: "EXAMPLES\n  vrctl port delete blue-a")
    @Argument(help: "The id it was added with.") var id: String
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        _ = try await connection.agentEndpoint.call(.delete, ["port", id])
        Context.current.output.write(
            outputOptions.output == .json
                ? (["port": ["id": JSON(id), "action": "deleted"]] as JSON).pretty + "\n" : "port \(printable(id)) deleted\n")
    }
}

struct PortListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the ports of this node: active, or waiting and for what.", discussion: "EXAMPLES\n  vrctl port list")
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let ports = try await connection.agentEndpoint.call(.get, ["port"]).array
        Context.current.output.write(outputOptions.output == .json ? (["ports": .array(ports)] as JSON).pretty + "\n" : Self.table(ports))
    }

    static func table(_ ports: [JSON]) -> String {
        var columns = Columns("NAME", "STATE", "VIF", "INTERFACE", "LEASES", "DNS", "REASON")
        for port in ports {
            columns.add(
                ObjectText.cell(port["name"]), ObjectText.cell(port["state"]), ObjectText.cell(port["vif"]), ObjectText.cell(port["interface"]),
                leases(port["services"]), questions(port["services"]), ObjectText.cell(port["reason"]))
        }
        return columns.text
    }

    /// The addresses that its workload has from DHCP and DHCPv6, or how far it came.
    private static func leases(_ services: JSON?) -> String {
        let texts = ["dhcp", "dhcpv6"].compactMap { key -> String? in
            guard let lease = services?[key], case .string(let state)? = lease["state"] else { return nil }
            return state == "bound" ? ObjectText.cell(lease["address"]) : "\(key) \(state)"
        }
        return texts.isEmpty ? "-" : texts.joined(separator: ",")
    }

    /// Questions to the name server that were answered, and those that failed if there are any.
    private static func questions(_ services: JSON?) -> String {
        func number(_ key: String) -> Int { services?["dns"]?[key].flatMap { Int(ObjectText.cell($0)) } ?? 0 }
        let answered = number("local") + number("cached") + number("forwarded"), failed = number("failed")
        return answered + failed == 0 ? "-" : failed == 0 ? "\(answered)" : "\(answered) (\(failed) failed)"
    }
}
