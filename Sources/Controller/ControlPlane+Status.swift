import NetTypes
public import Overlay
import XMPP

/// What the controller tells about itself, in the shape of its HTTP API.
extension ControlPlane {
    public func status(version: String) -> ConfigValue {
        let counts = store.model.objects.keys.reduce(into: [:]) { $0[$1.kind, default: 0] += 1 }
        return .map([
            .init("version", .string(version)),
            .init("uptimeSeconds", .integer(Int(startedAt.duration(to: .now).components.seconds))),
            .init("agents", .list(channels.sorted { $0.key < $1.key }.map { agent($0, $1) })),
            .init("objects", .map(ConfigKind.allCases.map { .init($0.rawValue, .integer(counts[$0] ?? 0)) })),
            .init("routes", .integer(routeServer.routeCount)),
        ])
    }

    private func agent(_ node: String, _ channel: AgentChannel) -> ConfigValue {
        .map([
            .init("name", .string(node)),
            .init("jid", .string(channel.session.peer.description)),
            .init("connectedSeconds", .integer(Int(channel.connectedAt.duration(to: .now).components.seconds))),
            .init("subscriptions", .list(routeServer.subscriptions(of: node).map { .string($0) })),
            .init("routesReceived", .integer(routeServer.publishedCount(of: node))),
            .init("routesSent", .integer(channel.routesSent)),
            .init("endOfRIB", .boolean(routeServer.saidEndOfRIB(node))),
        ])
    }

    /// The routes of one VRF or of all, each with the path of every origin.
    public func routes(vrf: String?) -> ConfigValue {
        .map([.init("routes", .list(routeServer.routes(vrf: vrf).map { route($0.vrf, $0.destination, $0.paths) }))])
    }

    private func route(_ vrf: String, _ destination: RouteAdvertisement.Destination, _ paths: RouteServer.Paths) -> ConfigValue {
        .map([
            .init("vrf", .string(vrf)),
            .init("family", .string(Self.name(destination.family))),
            .init("prefix", .string(destination.description)),
            .init("paths", .list(paths.sorted { $0.key < $1.key }.map { path($0.key, $0.value) })),
        ])
    }

    private func path(_ origin: String, _ path: RouteServer.Path) -> ConfigValue {
        .map([
            .init("origin", .string(origin)),
            .init("stale", .boolean(path.isStale)),
            .init("sequence", .integer(Int(path.route.sequence))),
            .init("localPreference", .integer(Int(path.route.localPreference))),
            .init(
                "nextHops",
                .list(
                    path.route.nextHops.map { hop in
                        var fields: [ConfigValue.Field] = [
                            .init("address", .string(hop.address.description)), .init("label", .integer(Int(hop.label))),
                            .init("encapsulations", .list(hop.encapsulations.map { .string(Self.name($0)) })),
                        ]
                        if let mac = hop.mac { fields.append(.init("mac", .string(mac.description))) }
                        return .map(fields)
                    })),
        ])
    }

    private static func name(_ family: RouteFamily) -> String {
        switch family {
        case .inet: "inet"
        case .inet6: "inet6"
        case .evpn: "evpn"
        }
    }

    private static func name(_ encapsulation: RouteAdvertisement.Encapsulation) -> String {
        switch encapsulation {
        case .vxlan: "vxlan"
        case .mplsOverUDP: "mplsOverUDP"
        case .mplsOverGRE: "mplsOverGRE"
        }
    }
}
