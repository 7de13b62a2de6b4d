import ArgumentParser
import DataplaneAPI
import Foundation
import NetTypes

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Shows the policies of the data plane, and says what they decide and why.",
        subcommands: [PolicyListCommand.self, PolicyGetCommand.self, PolicyGroupsCommand.self, PolicyExplainCommand.self, PolicyLogCommand.self])
}

struct PolicyListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the policies, with the number of their rules.")
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let output = Context.current.output
            let policies = try await router.all(TableQuery(table: .policy)) { if case .policy(let policy) = $0 { policy } else { nil } }
            if outputOptions.output == .json {
                var stream = JSONArrayStream(key: "policies", output: output)
                stream.write(policies.map(PolicyLayout.json))
                stream.end()
                return
            }
            output.write("ID".padded(8) + "NAME".padded(36) + "ORIGIN".padded(16) + "RULES".padded(8) + "DEFAULT\n")
            for policy in policies {
                output.write(
                    "\(policy.id)".padded(8) + printable(policy.name).padded(36) + PolicyLayout.text(policy.origin).padded(16)
                        + "\(policy.rules.count)".padded(8) + PolicyLayout.text(policy.defaultAction) + "\n")
            }
        }
    }
}

struct PolicyGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Shows the rules of one policy, in order.")
    @Argument(help: "The policy's number; `vrctl policy list` shows them.") var id: UInt32
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let output = Context.current.output
            let found = try await router.all(TableQuery(table: .policy, id: id)) { if case .policy(let policy) = $0 { policy } else { nil } }
            guard let policy = found.first(where: { $0.id == id }) else { throw Failure.refused("no policy \(id); vrctl policy list lists them") }
            if outputOptions.output == .json {
                output.write(PolicyLayout.json(policy).pretty + "\n")
                return
            }
            output.write("Policy \(policy.id) \(printable(policy.name)) (\(PolicyLayout.text(policy.origin)))\n")
            for (index, rule) in policy.rules.enumerated() { output.write("\(index)".aligned(6) + "  " + PolicyLayout.text(rule) + "\n") }
            output.write(" else  " + PolicyLayout.text(policy.defaultAction) + "\n")
        }
    }
}

struct PolicyGroupsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "groups", abstract: "Lists the address groups that rules name.")
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withRouter { router in
            let output = Context.current.output
            let groups = try await router.all(TableQuery(table: .addressGroup)) { if case .addressGroup(let group) = $0 { group } else { nil } }
            if outputOptions.output == .json {
                var stream = JSONArrayStream(key: "addressGroups", output: output)
                stream.write(groups.map(PolicyLayout.json))
                stream.end()
                return
            }
            output.write("ID".padded(8) + "NAME".padded(36) + "PREFIXES\n")
            for group in groups {
                let shown = group.prefixes.prefix(8).map(PolicyLayout.text).joined(separator: ", ")
                let more = group.prefixes.count > 8 ? " … (\(group.prefixes.count))" : ""
                output.write("\(group.id)".padded(8) + printable(group.name).padded(36) + shown + more + "\n")
            }
        }
    }
}

struct PolicyExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Says whether a new connection passes, and which rule decides.",
        discussion: """
            Both directions of the port are asked: whether its workload may send this, and whether it would be let through to it. The last line says what becomes of the
            packet in this router, by antispoofing, translation, the policies at its source and at its destination, and its route, as far as its ends are on this node. The exit
            code is 0 whatever the verdict.

            EXAMPLES
              vrctl policy explain --port web-1 'tcp 10.0.1.4:4321 > 10.0.2.5:443'
              vrctl policy explain --vif 3 'icmp 10.0.1.4 > 10.0.2.5' -o json
            """)
    @Option(help: ArgumentHelp("The port, by the name of its vif or, where the agent answers, of the Port.", valueName: "name")) var port: String?
    @Option(help: ArgumentHelp("The port, by the number of its vif.", valueName: "number")) var vif: UInt32?
    @Argument(help: "The first packet: 'tcp 10.0.1.4:4321 > 10.0.2.5:443'.") var flow: String
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (port != nil) != (vif != nil) else { throw ValidationError("give one of --port, --vif") }
    }

    func run() async throws {
        let flow = try FlowText(flow)
        try await connection.withRouter { router in
            let output = Context.current.output
            let vifs = try await router.vifs()
            let found = try await chosen(from: vifs)
            var request = Dataplane_V1_ExplainPolicyRequest()
            request.vif = found.id
            request.protocol = UInt32(flow.proto)
            request.source = flow.source.octets
            request.destination = flow.destination.octets
            request.sourcePort = UInt32(flow.sourcePort)
            request.destinationPort = UInt32(flow.destinationPort)
            request.icmpType = UInt32(flow.icmp?.type ?? 0)
            request.icmpCode = UInt32(flow.icmp?.code ?? 0)
            let egress = try await router.explainPolicy(request)
            request.ingress = true
            let ingress = try await router.explainPolicy(request)
            if outputOptions.output == .json {
                let json: JSON = [
                    "vif": JSON(found.id), "egress": PolicyLayout.json(egress), "ingress": PolicyLayout.json(ingress),
                    "outcome": PolicyLayout.json(ingress.outcome),
                ]
                output.write(json.pretty + "\n")
            } else {
                let names = Dictionary(vifs.map { ($0.id, $0.name) }) { first, _ in first }
                output.write(
                    PolicyLayout.text("from the workload (egress)", egress) + PolicyLayout.text("to the workload (ingress)", ingress)
                        + PolicyLayout.verdict(ingress.outcome, source: flow.source.description, vifs: names))
            }
        }
    }
    /// The vif that `--vif` or `--port` names. The router knows the names of vifs, the agent which vif a Port has.
    private func chosen(from vifs: [API.Vif]) async throws -> API.Vif {
        if let found = vifs.first(where: { $0.id == vif || $0.name == port }) { return found }
        guard let port else { throw Failure.refused("no vif \(vif ?? 0); vrctl vif --list lists them") }
        let bound: JSON
        do { bound = try await connection.agentEndpoint.call(.get, ["port", port]) } catch let failure as Failure {
            let unknown = "no vif is named '\(port)' (vrctl vif --list lists them), and by the name of a Port the agent finds none"
            throw Failure(failure.kind, "\(unknown): \(failure.message)")
        }
        guard let number = bound["vif"]?.text.flatMap(UInt32.init), let found = vifs.first(where: { $0.id == number }) else {
            throw Failure.refused("port '\(port)' has no vif yet: \(bound["reason"]?.text ?? "vrctl port list says why")")
        }
        return found
    }
}
