/// The agent's part of `vrctl status`, from its `GET /status`. Fields that are missing are not shown.
struct AgentSection {
    var status: JSON

    private static let goodStates: Set<String> = ["established", "ready", "connected", "up", "online"]

    private var controllers: [JSON] { status["controllers"]?.array ?? [] }
    private var ports: [JSON] { status["ports"]?.array ?? [] }
    private var waiting: [JSON] { ports.filter { $0["state"]?.text != "active" } }
    private var refused: [JSON] { status["refused"]?.array ?? [] }
    private var complaints: Int { controllers.reduce(0) { $0 + ($1["refused"]?.array.count ?? 0) } }
    private static func isGood(_ controller: JSON) -> Bool { goodStates.contains(controller["state"]?.text?.lowercased() ?? "") }

    /// One controller of two is enough to work.
    var problems: [String] {
        var out: [String] = []
        if !controllers.contains(where: Self.isGood) { out.append(controllers.isEmpty ? "no controller configured" : "no controller connected") }
        if let connected = status["dataplane"]?["connected"], !connected.isTrue { out.append("not connected to the data plane") }
        if !waiting.isEmpty { out.append("\(waiting.count) port\(waiting.count == 1 ? "" : "s") waiting") }
        if !refused.isEmpty { out.append("\(refused.count) object\(refused.count == 1 ? "" : "s") refused by the data plane") }
        if complaints > 0 { out.append("\(complaints) request\(complaints == 1 ? "" : "s") refused by a controller") }
        return out
    }

    var lines: [String] {
        var out: [String] = []
        let cell = { (value: JSON?) in printable(ObjectText.cell(value)) }
        out.append("node \(cell(status["node"]))" + (uptime(status).map { "   up \($0)" } ?? ""))
        for controller in controllers {
            let state = cell(controller["state"])
            var line = "controller \(cell(controller["host"]))   " + (Self.isGood(controller) ? Style.good(state) : Style.bad(state))
            if let since = controller["since"]?.unsigned { line += "   for \(durationText(seconds: since))" }
            if let reason = controller["reason"]?.text, !reason.isEmpty { line += "   (\(printable(reason)))" }
            out.append(line)
            for refusal in controller["refused"]?.array ?? [] { out.append("  " + Self.text(refusal)) }
        }
        if let dataplane = status["dataplane"] {
            var line = "data plane " + (dataplane["connected"]?.isTrue == true ? Style.good("connected") : Style.bad("not connected"))
            if let objects = dataplane["objects"]?.text { line += "   \(objects) objects" }
            if let repairs = dataplane["repairs"]?.text, repairs != "0" { line += "   \(repairs) repaired" }
            if let reason = dataplane["reason"]?.text, !reason.isEmpty { line += "   (\(printable(reason)))" }
            out.append(line)
        }
        if let config = status["config"]?.members, !config.isEmpty {
            out.append("config     " + config.map { "\(printable($0.key)) \(cell($0.value))" }.joined(separator: "   "))
        }
        if let routes = status["routes"] {
            out.append(
                "routes     "
                    + (routes.members.isEmpty
                        ? cell(routes) : routes.members.map { "\(printable($0.key)) \(cell($0.value))" }.joined(separator: "   ")))
        }
        out.append("ports      \(ports.count - waiting.count) active, \(waiting.count) waiting")
        for port in waiting { out.append("  \(cell(port["name"])): \(Style.warning("waiting")), \(cell(port["reason"]))") }
        out.append("refused    \(refused.count)")
        for refusal in refused { out.append("  " + Self.text(refusal)) }
        let silent = (status["neighbours"]?.array ?? []).filter { $0["state"]?.text != "reachable" }
        for neighbour in silent { out.append("neighbour  \(cell(neighbour["address"])): \(Style.warning(cell(neighbour["state"])))") }
        return out
    }

    /// `object: CODE, reason (3 retries)`.
    private static func text(_ refusal: JSON) -> String {
        let cell = { (value: JSON?) in printable(ObjectText.cell(value)) }
        let code = refusal["code"]?.text ?? ""
        let verdict = Style.bad(code.isEmpty ? "refused" : printable(code))
        return "\(cell(refusal["object"])): \(verdict), \(cell(refusal["reason"])) (\(cell(refusal["retries"])) retries)"
    }
}

/// The controller's part, from its `GET /v1/status`.
struct ControllerSection {
    var status: JSON

    var problems: [String] { [] }

    var lines: [String] {
        let cell = { (value: JSON?) in printable(ObjectText.cell(value)) }
        var out = ["version \(cell(status["version"]))" + (uptime(status).map { "   up \($0)" } ?? "")]
        let agents = status["agents"]?.array ?? []
        out.append("agents    \(agents.count) connected")
        for agent in agents {
            var line = "  \(cell(agent["name"]))"
            if let seconds = agent["connectedSeconds"]?.unsigned { line += "   connected \(durationText(seconds: seconds))" }
            line += "   routes received \(cell(agent["routesReceived"]))   sent \(cell(agent["routesSent"]))"
            if let end = agent["endOfRIB"] { line += end.isTrue ? "   end of RIB" : "   " + Style.warning("no end of RIB yet") }
            out.append(line)
        }
        let objects = (status["objects"]?.members ?? []).map { "\(printable($0.key)) \(cell($0.value))" }
        out.append("objects   " + (objects.isEmpty ? "none" : objects.joined(separator: "   ")))
        out.append("routes    \(cell(status["routes"]))")
        return out
    }
}

private func uptime(_ status: JSON) -> String? {
    (status["uptimeSeconds"]?.unsigned ?? status["uptime"]?.unsigned).map { durationText(seconds: $0) }
}
