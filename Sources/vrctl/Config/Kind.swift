import ArgumentParser

/// A kind of configuration object, by any of the names people type: `VirtualNetwork`, `virtualnetworks`, `networks`, `vn`.
/// What the objects mean is the controller's business; here they are kind, name and text.
enum Kind: String, CaseIterable, Sendable {
    // In the order of dependence: a port needs the others.
    case computeNode = "ComputeNode", networkPolicy = "NetworkPolicy", virtualNetwork = "VirtualNetwork", securityGroup = "SecurityGroup"
    case namespace = "Namespace", kubernetesPolicy = "KubernetesNetworkPolicy", port = "Port"
    case router = "Router", service = "Service", floatingIP = "FloatingIP", linkLocalService = "LinkLocalService"

    /// Lower case; the full name and its plural are understood too.
    private var shortNames: [String] {
        switch self {
        case .computeNode: ["node", "nodes", "cn"]
        case .networkPolicy: ["policy", "policies", "networkpolicies", "netpol", "netpols", "np"]
        case .virtualNetwork: ["network", "networks", "net", "nets", "vn", "vns"]
        case .securityGroup: ["group", "groups", "sg", "sgs"]
        case .namespace: ["ns"]
        case .kubernetesPolicy: ["kubernetesnetworkpolicies", "k8spolicy", "k8spolicies", "knp"]
        case .port: ["po"]
        case .router: ["rtr"]
        case .service: ["svc", "svcs"]
        case .floatingIP: ["fip", "fips"]
        case .linkLocalService: ["lls", "linklocal"]
        }
    }

    init?(name: String) {
        let name = name.lowercased()
        guard
            let kind = Self.allCases.first(where: {
                [$0.rawValue.lowercased(), $0.rawValue.lowercased() + "s"].contains(name) || $0.shortNames.contains(name)
            })
        else { return nil }
        self = kind
    }

    /// Place in the order in which objects can be deleted.
    var deletionRank: Int { Self.allCases.count - (Self.allCases.firstIndex(of: self) ?? 0) }
}

extension Kind: ExpressibleByArgument {
    init?(argument: String) { self.init(name: argument) }
    static var allValueStrings: [String] {
        ["networks", "policies", "groups", "ports", "nodes", "namespaces", "k8spolicies", "routers", "services", "floatingips"]
    }
    var defaultValueDescription: String { rawValue }
}
