import ArgumentParser
import DataplaneAPI

/// Where the daemons listen: the option, else the environment, else the default.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Unix socket of vrouter (VROUTER_SOCKET; \(defaultSocket)).", valueName: "path"))
    var socket: String?
    @Option(help: ArgumentHelp("Address of vrouter-controller (VROUTER_CONTROLLER; \(defaultController)).", valueName: "url"))
    var controller: String?
    @Option(help: ArgumentHelp("Address of vrouter-agent (VROUTER_AGENT; \(defaultAgent)).", valueName: "url"))
    var agent: String?

    static let defaultSocket = DataplaneClient.defaultSocket
    static let defaultController = "http://127.0.0.1:8082"
    static let defaultAgent = "http://127.0.0.1:9091"

    var routerSocket: String { chosen(socket, "VROUTER_SOCKET", Self.defaultSocket) }
    var controllerEndpoint: Endpoint {
        Endpoint(name: "vrouter-controller", option: "--controller", base: chosen(controller, "VROUTER_CONTROLLER", Self.defaultController))
    }
    var agentEndpoint: Endpoint { Endpoint(name: "vrouter-agent", option: "--agent", base: chosen(agent, "VROUTER_AGENT", Self.defaultAgent)) }

    private func chosen(_ option: String?, _ variable: String, _ fallback: String) -> String {
        if let option { return option }
        if let value = Context.current.environment[variable], !value.isEmpty { return value }
        return fallback
    }

    /// Runs `body` with a connection to vrouter.
    func withRouter<Value: Sendable>(_ body: @Sendable (any RouterClient) async throws -> Value) async throws -> Value {
        try await Context.current.routers.withRouter(socket: routerSocket, body)
    }
}

enum OutputFormat: String, CaseIterable, ExpressibleByArgument { case table, json }

struct OutputOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .long], help: "table or json.")
    var output: OutputFormat = .table
}
