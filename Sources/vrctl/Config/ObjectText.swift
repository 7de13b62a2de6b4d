import Yams

/// Configuration objects, as the controller answers them, for people: tables, YAML, and `describe`.
enum ObjectText {
    static func name(_ object: JSON) -> String { object["metadata"]?["name"]?.text ?? object["name"]?.text ?? "?" }

    static func table(_ kind: Kind, _ objects: [JSON]) -> String {
        var columns: Columns
        switch kind {
        case .virtualNetwork:
            columns = Columns("NAME", "VNI", "ENCAPSULATION", "FORWARDING", "MTU", "SUBNETS")
            for object in objects {
                let spec = object["spec"]
                columns.add(
                    name(object), cell(spec?["vni"]), cell(spec?["encapsulation"]), cell(spec?["forwarding"]), cell(spec?["mtu"]),
                    dash((spec?["subnets"]?.array ?? []).compactMap { $0["prefix"]?.text }.joined(separator: ",")))
            }
        case .port:
            columns = Columns("NAME", "NETWORK", "NODE", "MAC", "ADDRESSES", "INTERFACE")
            for object in objects {
                let spec = object["spec"]
                columns.add(
                    name(object), cell(spec?["network"]), cell(spec?["node"]), cell(spec?["mac"]), cell(spec?["addresses"]), cell(spec?["interface"]))
            }
        case .securityGroup:
            columns = Columns("NAME", "INGRESS", "EGRESS")
            for object in objects {
                func count(_ key: String) -> String {
                    let rules = object["spec"]?[key]?.array.count ?? 0
                    return rules == 1 ? "1 rule" : "\(rules) rules"
                }
                columns.add(name(object), count("ingress"), count("egress"))
            }
        case .networkPolicy:
            columns = Columns("NAME", "RULES", "FIRST RULE")
            for object in objects {
                let rules = object["spec"]?["rules"]?.array ?? []
                columns.add(name(object), "\(rules.count)", rules.first.map(ruleText) ?? "-")
            }
        case .namespace:
            columns = Columns("NAME", "LABELS")
            for object in objects { columns.add(name(object), labels(object["metadata"]?["labels"])) }
        case .kubernetesPolicy:
            columns = Columns("NAMESPACE", "NAME", "PORTS", "INGRESS", "EGRESS")
            for object in objects {
                let spec = object["spec"], selector = spec?["podSelector"]
                func rules(_ type: String) -> String {
                    guard (spec?["policyTypes"]?.array ?? []).contains(where: { $0.text == type }) else { return "-" }
                    let count = spec?[type.lowercased()]?.array.count ?? 0
                    return count == 1 ? "1 rule" : "\(count) rules"
                }
                let expressions = (selector?["matchExpressions"]?.array ?? []).map {
                    "\(cell($0["key"])) \(cell($0["operator"])) \(cell($0["values"]))"
                }
                let all = [labels(selector?["matchLabels"])].filter { $0 != "-" } + expressions
                columns.add(
                    cell(object["metadata"]?["namespace"]), name(object), all.isEmpty ? "all" : all.joined(separator: ","), rules("Ingress"),
                    rules("Egress"))
            }
        case .floatingIP:
            columns = Columns("NAME", "NETWORK", "ADDRESS", "PORT", "FIXED ADDRESS")
            for object in objects {
                let spec = object["spec"]
                columns.add(name(object), cell(spec?["network"]), cell(spec?["address"]), cell(spec?["port"]), cell(spec?["fixedAddress"]))
            }
        case .linkLocalService:
            columns = Columns("NAME", "PROTOCOL", "ADDRESS", "PORT", "NETWORKS", "TARGET", "SIGNED")
            for object in objects {
                let spec = object["spec"], target = spec?["target"]
                columns.add(
                    name(object), spec?["protocol"]?.text ?? "http", cell(spec?["address"]), cell(spec?["port"]),
                    spec?["networks"] == nil ? "all" : cell(spec?["networks"]), "\(cell(target?["address"])) port \(cell(target?["port"]))",
                    spec?["secret"] == nil ? "no" : "yes")
            }
        case .service:
            columns = Columns("NAME", "NETWORK", "ADDRESSES", "PORTS", "BACKENDS", "AFFINITY")
            for object in objects {
                let spec = object["spec"]
                let ports = (spec?["ports"]?.array ?? []).map { "\(cell($0["protocol"])) \(cell($0["port"]))>\(cell($0["targetPort"]))" }
                columns.add(
                    name(object), cell(spec?["network"]), cell(spec?["addresses"]), dash(ports.joined(separator: ",")),
                    spec?["selector"] == nil ? cell(spec?["backends"]) : labels(spec?["selector"]),
                    cell(spec?["affinity"]))
            }
        case .router:
            columns = Columns("NAME", "EXTERNAL", "NETWORKS", "ADDRESSES", "PORTS PER NODE", "NODES")
            for object in objects {
                let spec = object["spec"], snat = spec?["snat"]
                columns.add(
                    name(object), cell(spec?["externalNetwork"]), cell(spec?["networks"]), cell(snat?["addresses"]), cell(snat?["portsPerNode"]),
                    dash((spec?["nodes"]?.array ?? []).compactMap { $0["name"]?.text }.joined(separator: ",")))
            }
        case .computeNode:
            columns = Columns("NAME", "ADDRESS")
            for object in objects { columns.add(name(object), cell(object["spec"]?["address"])) }
        }
        return columns.text
    }

    private static func labels(_ value: JSON?) -> String { dash((value?.members ?? []).map { "\($0.key)=\(cell($0.value))" }.joined(separator: ",")) }

    /// `pass tcp blue <> red:80,443`.
    private static func ruleText(_ rule: JSON) -> String {
        func end(_ key: String, _ ports: String) -> String {
            let end = rule[key]
            let name = end?["network"]?.text ?? end?["prefixes"]?.array.compactMap(\.text).joined(separator: ",") ?? "any"
            return name + (rule[ports].map { ":" + cell($0) } ?? "")
        }
        return
            "\(cell(rule["action"])) \(rule["protocol"]?.text ?? "any") \(end("source", "sourcePorts")) \(cell(rule["direction"])) \(end("destination", "ports"))"
    }

    /// One line per next hop of every path.
    static func routeTable(_ routes: [JSON]) -> String {
        var columns = Columns("VRF", "FAMILY", "PREFIX", "ORIGIN", "NEXT HOP", "LABEL", "ENCAPSULATION", "STATE")
        for route in routes {
            for path in route["paths"]?.array ?? [] {
                for hop in path["nextHops"]?.array ?? [] {
                    columns.add(
                        cell(route["vrf"]), cell(route["family"]), cell(route["prefix"]), cell(path["origin"]), cell(hop["address"]),
                        cell(hop["label"]),
                        cell(hop["encapsulations"]), path["stale"]?.isTrue == true ? "stale" : "fresh")
                }
            }
        }
        return columns.text
    }

    private static func dash(_ text: String) -> String { text.isEmpty ? "-" : text }
    static func cell(_ value: JSON?) -> String {
        guard let value else { return "-" }
        if case .array(let values) = value { return dash(values.map { cell($0) }.joined(separator: ",")) }
        return value.text ?? (value == .null ? "-" : value.compact)
    }

    /// One document per object, separated by `---`: what `apply -f` takes.
    static func yaml(_ objects: [JSON]) throws -> String {
        try objects.map { try Yams.serialize(node: node($0)) }.joined(separator: "---\n")
    }

    private static func node(_ value: JSON) -> Node {
        switch value {
        case .object(let members): Node(members.map { (Node($0.key), node($0.value)) })
        case .array(let values): Node(values.map(node))
        case .string(let text): Node(text, Tag(.str), isPlainText(text) ? .any : .doubleQuoted)
        case .null: Node("null")
        case .bool, .integer, .unsigned, .number: Node(value.text ?? "null")
        }
    }
    /// Text that YAML would read back as text without quotes.
    private static func isPlainText(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, !text.contains(": "), !text.contains(" #"), text.last != ":" else { return false }
        let isSafe = text.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || "0123456789-._/: ".unicodeScalars.contains($0)) }
        let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"]
        return isSafe && text.last != " " && (first.properties.isAlphabetic && !reserved.contains(text.lowercased()) && !text.contains(":"))
    }

    /// `Key: value` lines, nested by indentation; empty values are left out.
    static func description(_ object: JSON) -> String {
        var out = "Name: \(printable(name(object)))\n"
        if let kind = object["kind"]?.text { out += "Kind: \(printable(kind))\n" }
        for member in object["metadata"]?.members ?? [] where member.key != "name" { append(member, to: &out, indent: "") }
        for member in object["spec"]?.members ?? [] { append(member, to: &out, indent: "") }
        return out
    }

    private static func append(_ member: JSON.Member, to out: inout String, indent: String) {
        let title = printable(title(member.key))
        switch member.value {
        case .null, .array([]), .object([]): break
        case .object(let members):
            out += "\(indent)\(title):\n"
            for member in members { append(member, to: &out, indent: indent + "  ") }
        case .array(let values):
            out += "\(indent)\(title):\n"
            for value in values {
                let text = value.members.isEmpty ? cell(value) : value.members.map { "\($0.key) \(cell($0.value))" }.joined(separator: ", ")
                out += "\(indent)  \(printable(text))\n"
            }
        default: out += "\(indent)\(title): \(printable(cell(member.value)))\n"
        }
    }

    private static func title(_ key: String) -> String {
        switch key {
        case "uid", "mac", "mtu", "vni": key.uppercased()
        default: key.prefix(1).uppercased() + key.dropFirst()
        }
    }
}
