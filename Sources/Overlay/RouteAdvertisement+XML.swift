import NetTypes
public import XMPP

/// The `<entry>` of a route, as OpenSDN writes it:
///
///     <entry>
///       <nlri><af>1</af><safi>1</safi><address>10.1.0.11/32</address></nlri>
///       <next-hops><next-hop>
///         <af>1</af><address>10.0.0.11</address><mac>02:00:00:00:01:11</mac><label>18</label>
///         <tunnel-encapsulation-list><tunnel-encapsulation>udp</tunnel-encapsulation></tunnel-encapsulation-list>
///       </next-hop></next-hops>
///       <sequence-number>0</sequence-number><local-preference>100</local-preference>
///     </entry>
///
/// An EVPN `<nlri>` has `<ethernet-tag>` and `<mac>` too. The draft gives the entry a namespace of its own; OpenSDN, and so this, writes
/// none, and the entry takes that of the pubsub element around it. Names alone are compared here. What this router has no use for is
/// skipped.
extension RouteAdvertisement {
    public var entry: XMLElement {
        XMLElement("entry") {
            XMLElement("nlri") {
                XMLElement("af", text: "\(destination.family.afi)")
                XMLElement("safi", text: "\(destination.family.safi)")
                switch destination {
                case .inet(let prefix):
                    XMLElement("address", text: prefix.description)
                case .evpn(let mac, let prefix):
                    XMLElement("ethernet-tag", text: "0")
                    XMLElement("mac", text: mac.description)
                    XMLElement("address", text: prefix?.description ?? Destination.noAddress)
                }
            }
            XMLElement("next-hops") { nextHops.map(\.element) }
            XMLElement("sequence-number", text: "\(sequence)")
            XMLElement("local-preference", text: "\(localPreference)")
        }
    }

    /// The item of this route: in a publish under `node`, in an event under its table's node.
    public var item: PubSub.Item { PubSub.Item(id: destination.description, payload: entry) }

    /// Reads an entry found in this VRF.
    public init(entry: XMLElement, vrf: String) throws(RouteDecodingError) {
        guard entry.name == "entry" else { throw RouteDecodingError("<entry> expected, found <\(entry.name.prefix(64))>") }
        guard let nlri = entry.any("nlri") else { throw RouteDecodingError("<nlri> is missing") }
        let numbers = "\(nlri.any("af")?.trimmed ?? "")/\(nlri.any("safi")?.trimmed ?? "1")"
        guard let family = RouteFamily(rawValue: numbers) else {
            throw RouteDecodingError("address family \(numbers.prefix(16)) is not carried here")
        }
        let address = nlri.any("address")?.trimmed ?? ""
        let text = family == .evpn ? "\(nlri.any("mac")?.trimmed ?? ""),\(address.isEmpty ? Destination.noAddress : address)" : address
        guard let destination = Destination(text, family: family) else {
            throw RouteDecodingError("<nlri>: '\(text.prefix(80))' is not a destination of family \(family.rawValue)")
        }
        guard let list = entry.any("next-hops") else { throw RouteDecodingError("<next-hops> is missing") }
        var nextHops: [NextHop] = []
        for element in list.elements where element.name == "next-hop" {
            nextHops.append(try NextHop(element))
        }
        guard !nextHops.isEmpty else { throw RouteDecodingError("<next-hops> is empty") }
        guard nextHops.count <= Self.maximumNextHops else { throw RouteDecodingError("more than \(Self.maximumNextHops) next hops") }
        self.init(
            vrf: vrf, destination: destination, nextHops: nextHops,
            sequence: try entry.number("sequence-number") ?? 0,
            localPreference: try entry.number("local-preference") ?? Self.defaultLocalPreference)
    }

    public static let maximumNextHops = 128
}

extension RouteAdvertisement.NextHop {
    var element: XMLElement {
        XMLElement("next-hop") {
            XMLElement("af", text: address.isIPv4 ? "1" : "2")
            XMLElement("address", text: address.description)
            if let mac { XMLElement("mac", text: mac.description) }
            XMLElement("label", text: "\(label)")
            XMLElement("tunnel-encapsulation-list") {
                encapsulations.map { XMLElement("tunnel-encapsulation", text: $0.rawValue) }
            }
        }
    }

    init(_ element: XMLElement) throws(RouteDecodingError) {
        let text = element.any("address")?.trimmed ?? ""
        guard let address = IPAddress(text), !address.isMulticast, address != .v4(.any), address != .v6(.any) else {
            throw RouteDecodingError("<next-hop>: '\(text.prefix(64))' is not the address of a tunnel end")
        }
        var encapsulations: [RouteAdvertisement.Encapsulation] = []
        for item in element.any("tunnel-encapsulation-list")?.elements ?? [] where item.name == "tunnel-encapsulation" {
            // One that is not known is no reason to lose the route: there may be another.
            if let known = RouteAdvertisement.Encapsulation(rawValue: item.trimmed), !encapsulations.contains(known) { encapsulations.append(known) }
        }
        if encapsulations.isEmpty {
            guard element.any("tunnel-encapsulation-list")?.elements.isEmpty != false else {
                throw RouteDecodingError("<next-hop>: no tunnel encapsulation that is known here")
            }
            encapsulations = [.mplsOverGRE]  // a labelled next hop that names none, in OpenSDN's reading
        }
        guard let label = try element.number("label") else { throw RouteDecodingError("<next-hop>: <label> is missing") }
        let most = encapsulations.contains(.vxlan) ? VNI.maximum : Label.maximum
        guard label <= most else { throw RouteDecodingError("<next-hop>: label \(label) is more than \(most)") }
        var mac: MACAddress?
        if let text = element.any("mac")?.trimmed, !text.isEmpty {
            guard let parsed = MACAddress(text) else { throw RouteDecodingError("<next-hop>: '\(text.prefix(64))' is not a MAC address") }
            mac = parsed
        }
        self.init(address: address, label: label, encapsulations: encapsulations, mac: mac)
    }
}

/// Why an entry could not be read as a route.
public struct RouteDecodingError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

extension XMLElement {
    /// The first child element of that name, whatever its namespace.
    fileprivate func any(_ name: String) -> XMLElement? { elements.first { $0.name == name } }

    /// The text without white space around it.
    fileprivate var trimmed: String {
        var text = text[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    fileprivate func number(_ name: String) throws(RouteDecodingError) -> UInt32? {
        guard let text = any(name)?.trimmed, !text.isEmpty else { return nil }
        guard let value = UInt32(text) else { throw RouteDecodingError("<\(name)>: '\(text.prefix(64))' is not a number") }
        return value
    }
}
