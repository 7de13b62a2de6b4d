import NetTypes
import Overlay
import StrictYAML
import Testing
import XMPP

@Suite struct ConfigXMLTests {
    @Test func goldenBothWays() throws {
        let objects = try YAMLDocuments.parse(text: blue, source: "net.yaml")
        let golden = [
            #"<VirtualNetwork xmlns="urn:swift-vrouter:config:1"><metadata><name>blue</name></metadata><spec><subnets><item><prefix>10.1.0.0/24</prefix><gateway>10.1.0.254</gateway></item><item><prefix>fd00:1::/64</prefix><gateway>fd00:1::1</gateway></item></subnets><vni>5001</vni><encapsulation>vxlan</encapsulation><forwarding>l2l3</forwarding><mtu>1450</mtu></spec></VirtualNetwork>"#,
            #"<ComputeNode xmlns="urn:swift-vrouter:config:1"><metadata><name>node1</name></metadata><spec><address>10.0.0.11</address></spec></ComputeNode>"#,
            #"<Port xmlns="urn:swift-vrouter:config:1"><metadata><name>blue:a</name></metadata><spec><network>blue</network><node>node1</node><mac>02:00:00:00:01:0a</mac><addresses><item>10.1.0.10</item><item>fd00:1::10</item></addresses><interface>tap-blue-a</interface></spec></Port>"#,
        ]
        for (object, text) in zip(objects, golden) {
            #expect(object.element.serialized() == text)
            #expect(try ConfigObject(element: object.element) == object)
        }
    }

    @Test func carriesUIDAndGeneration() throws {
        var object = try YAMLDocuments.parse(text: blue, source: "")[1]
        object.metadata.uid = "0b5a"
        object.metadata.generation = 7
        #expect(try ConfigObject(element: object.element).metadata == object.metadata)
    }

    @Test func unknownElementsAreSkippedAndBadOnesNamed() throws {
        var element = try YAMLDocuments.parse(text: blue, source: "")[1].element
        element.append(XMLElement("status", text: "x"))
        #expect(try ConfigObject(element: element).name == "node1")
        let bad = XMLElement("ComputeNode", namespace: ConfigXML.namespace) {
            XMLElement("metadata") { XMLElement("name", text: "n") }
            XMLElement("spec") { XMLElement("address", text: "ten") }
        }
        let error = #expect(throws: ConfigError.self) { try ConfigObject(element: bad) }
        #expect(error?.field == "spec.address")
        #expect(throws: ConfigError.self) { try ConfigObject(element: XMLElement("Port")) }
        #expect(throws: ConfigError.self) { try ConfigObject(element: XMLElement("Port", namespace: ConfigXML.namespace)) }
    }
}

@Suite struct RouteXMLTests {
    static let inet = RouteAdvertisement(
        vrf: "a:b", destination: .inet(IPPrefix("10.1.0.11/32")!),
        nextHops: [
            .init(address: IPAddress("10.0.0.11")!, label: 18, encapsulations: [.mplsOverUDP, .mplsOverGRE], mac: MACAddress("02:00:00:00:01:11"))
        ], sequence: 3,
        localPreference: 200)

    @Test func goldenBothWays() throws {
        let text =
            "<entry><nlri><af>1</af><safi>1</safi><address>10.1.0.11/32</address></nlri><next-hops><next-hop><af>1</af><address>10.0.0.11</address><mac>02:00:00:00:01:11</mac><label>18</label><tunnel-encapsulation-list><tunnel-encapsulation>udp</tunnel-encapsulation><tunnel-encapsulation>gre</tunnel-encapsulation></tunnel-encapsulation-list></next-hop></next-hops><sequence-number>3</sequence-number><local-preference>200</local-preference></entry>"
        #expect(Self.inet.entry.serialized() == text)
        #expect(Self.inet.node == "1/1/a:b/10.1.0.11/32")
        #expect(Self.inet.item.id == "10.1.0.11/32")
        #expect(try RouteAdvertisement(entry: Self.inet.entry, vrf: "a:b") == Self.inet)
    }

    @Test func evpnAndIPv6() throws {
        let mac = MACAddress("02:00:00:00:01:11")!,
            hop = RouteAdvertisement.NextHop(address: IPAddress("fd00::1")!, label: 0xFF_FFFF, encapsulations: [.vxlan])
        for (destination, node) in [
            (RouteAdvertisement.Destination.evpn(mac, nil), "25/242/v/02:00:00:00:01:11,0.0.0.0/32"),
            (.evpn(mac, IPPrefix("10.1.0.11/32")), "25/242/v/02:00:00:00:01:11,10.1.0.11/32"),
            (.evpn(mac, IPPrefix("fd00:1::11/128")), "25/242/v/02:00:00:00:01:11,fd00:1::11/128"),
            (.inet(IPPrefix("fd00:1::/64")!), "2/1/v/fd00:1::/64"),
        ] {
            let route = RouteAdvertisement(vrf: "v", destination: destination, nextHops: [hop])
            #expect(route.node == node)
            #expect(RouteNode(node)?.destination == destination && RouteNode(node)?.vrf == "v")
            #expect(try RouteAdvertisement(entry: route.entry, vrf: "v") == route)
        }
    }

    /// EVPN type 3 as OpenSDN has it: the broadcast address, and the originator's.
    @Test func inclusiveMulticast() throws {
        let route = RouteAdvertisement(
            vrf: "blue", destination: .inclusiveMulticast(of: IPAddress("10.0.0.11")!),
            nextHops: [.init(address: IPAddress("10.0.0.11")!, label: 5001, encapsulations: [.vxlan])])
        #expect(route.node == "25/242/blue/ff:ff:ff:ff:ff:ff,10.0.0.11/32")
        #expect(RouteNode(route.node)?.destination?.isInclusiveMulticast == true)
        #expect(
            route.entry.serialized()
                == "<entry><nlri><af>25</af><safi>242</safi><ethernet-tag>0</ethernet-tag><mac>ff:ff:ff:ff:ff:ff</mac><address>10.0.0.11/32</address></nlri><next-hops><next-hop><af>1</af><address>10.0.0.11</address><label>5001</label><tunnel-encapsulation-list><tunnel-encapsulation>vxlan</tunnel-encapsulation></tunnel-encapsulation-list></next-hop></next-hops><sequence-number>0</sequence-number><local-preference>100</local-preference></entry>"
        )
        #expect(try RouteAdvertisement(entry: route.entry, vrf: "blue") == route)
        #expect(!Self.inet.destination.isInclusiveMulticast)
        #expect(!RouteAdvertisement.Destination.evpn(MACAddress("02:00:00:00:01:11")!, nil).isInclusiveMulticast)
    }

    @Test func tableNodesAndBadNodes() {
        #expect(RouteNode("1/1/default-domain:admin:vn-A:vn-A")?.vrf == "default-domain:admin:vn-A:vn-A")
        #expect(RouteNode("1/1/blue")?.destination == nil)
        for bad in [
            "", "1/1", "1/1/", "1/1//10.0.0.0/8", "9/9/blue/10.0.0.0/8", "1/1/blue/", "1/1/blue/10.0.0.1/8", "2/1/blue/10.0.0.0/8",
            "25/242/blue/10.0.0.0/8", "0/0/EndOfRib", "blue",
        ] {
            #expect(RouteNode(bad) == nil, "\(bad)")
        }
    }

    /// As OpenSDN's agent writes it: another namespace, a label that is a VNI, much that is not used here, white space.
    @Test func readsOpenSDNsEntry() throws {
        let entry = XMLElement("entry", namespace: "http://ietf.org/protocol/bgpvpn") {
            XMLElement("nlri") {
                XMLElement("af", text: "1")
                XMLElement("safi", text: "1")
                XMLElement("address", text: "\n 10.10.10.11/32 ")
            }
            XMLElement("next-hops") {
                XMLElement("next-hop") {
                    XMLElement("af", text: "1")
                    XMLElement("address", text: "192.0.2.17")
                    XMLElement("label", text: "18")
                    XMLElement("tunnel-encapsulation-list")
                    XMLElement("virtual-network", text: "default-domain:admin:vn-A")
                }
            }
            XMLElement("version", text: "1")
            XMLElement("med", text: "0")
        }
        let route = try RouteAdvertisement(entry: entry, vrf: "v")
        #expect(route.nextHops == [.init(address: IPAddress("192.0.2.17")!, label: 18, encapsulations: [.mplsOverGRE])])
        #expect(route.localPreference == 100 && route.sequence == 0)
    }

    @Test(arguments: ["af", "address", "label", "next-hop-address", "sequence-number", "encapsulation", "mac", "none"])
    func badEntriesAreRefused(_ what: String) throws {
        let entry = XMLElement("entry") {
            XMLElement("nlri") {
                XMLElement("af", text: what == "af" ? "7" : "1")
                XMLElement("safi", text: "1")
                XMLElement("address", text: what == "address" ? "10.0.0.1/8" : "10.0.0.0/8")
            }
            if what != "none" {
                XMLElement("next-hops") {
                    XMLElement("next-hop") {
                        XMLElement("address", text: what == "next-hop-address" ? "0.0.0.0" : "10.0.0.1")
                        XMLElement("label", text: what == "label" ? "1048576" : "1048575")
                        XMLElement("mac", text: what == "mac" ? "02:00" : "")
                        XMLElement("tunnel-encapsulation-list") {
                            XMLElement("tunnel-encapsulation", text: what == "encapsulation" ? "geneve" : "udp")
                        }
                    }
                }
            }
            XMLElement("sequence-number", text: what == "sequence-number" ? "-1" : "1")
        }
        #expect(throws: RouteDecodingError.self) { try RouteAdvertisement(entry: entry, vrf: "v") }
    }
}
