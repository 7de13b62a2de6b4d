import DataplaneAPI
import NetTypes

/// The layouts of `rt`. Columns are fixed; IPv6 destinations get a wider first column.
enum RouteLayout {
    enum Family: String, CaseIterable {
        case inet, inet6, bridge
        /// As the heading says it.
        var title: String { self == .inet ? "inet4" : rawValue }
        var number: UInt32 { self == .inet ? 4 : 6 }
    }

    static let legend = "Flags: L=Label Valid, P=Proxy ARP, T=Trap ARP, F=Flood ARP, Ml=MAC-IP learnt route\n"

    static func title(_ family: Family, vrf: UInt32) -> String { "vRouter \(family.title) routing table 0/\(vrf)/unicast\n" }

    private static func destinationWidth(_ family: Family) -> Int { family == .inet6 ? 44 : 22 }

    static func headings(_ family: Family) -> String {
        "Destination".padded(destinationWidth(family)) + "PPL        Flags        Label         Nexthop    Stitched MAC(Index)\n"
    }

    /// `parentLength`: of the longest proper covering prefix in the table.
    static func line(_ route: API.Route, parentLength: Int, _ family: Family) -> String {
        let destination = prefixText(route.address, route.prefixLength).padded(destinationWidth(family))
        return destination + "\(parentLength)".aligned(3) + flags(route).aligned(13) + (route.hasLabel ? "\(route.label)" : "-").aligned(12)
            + "\(route.nextHop)".aligned(13) + "        " + (route.mac.isEmpty ? "-" : macText(route.mac)) + "\n"
    }

    static func flags(_ route: API.Route) -> String { (route.hasLabel ? "L" : "") + (route.proxies ? "P" : "") }

    static func json(_ route: API.Route, parentLength: Int) -> JSON {
        [
            "vrf": JSON(route.vrf), "prefix": JSON(prefixText(route.address, route.prefixLength)), "parentPrefixLength": JSON(parentLength),
            "flags": JSON(flags(route)), "label": route.hasLabel ? JSON(route.label) : .null, "nextHop": JSON(route.nextHop),
            "mac": route.mac.isEmpty ? .null : JSON(macText(route.mac)), "cookie": JSON(cookieText(route.cookie)),
        ]
    }

    static let bridgeLegend = "Flags: L=Label Valid, Ml=Learned, Mm=MAC moved\n"
    static func bridgeTitle(vrf: UInt32) -> String { "vRouter bridge table 0/\(vrf)\n" }
    static let bridgeHeadings = "Index       DestMac                  Flags           Label/VNID      Nexthop           Stats\n"

    /// The router has neither an index nor a packet count per bridge entry: those two columns are a dash.
    static func line(_ entry: API.BridgeEntry) -> String {
        "-".padded(12) + macText(entry.mac).padded(25) + flags(entry).padded(16) + (entry.hasLabel ? "\(entry.label)" : "-").padded(16)
            + "\(entry.nextHop)".padded(18) + "-\n"
    }

    static func json(_ entry: API.BridgeEntry) -> JSON {
        [
            "vrf": JSON(entry.vrf), "mac": JSON(macText(entry.mac)), "flags": JSON(flags(entry)),
            "label": entry.hasLabel ? JSON(entry.label) : .null, "nextHop": JSON(entry.nextHop), "cookie": JSON(cookieText(entry.cookie)),
            "learned": JSON(entry.learned), "moves": JSON(entry.moves), "idleSeconds": entry.learned ? JSON(entry.idleSeconds) : .null,
        ]
    }

    static func flags(_ entry: API.BridgeEntry) -> String {
        (entry.hasLabel ? "L" : "") + (entry.learned ? "Ml" : "") + (entry.moves > 0 ? "Mm" : "")
    }
}

extension RouteLayout.Family { var isBridge: Bool { self == .bridge } }
