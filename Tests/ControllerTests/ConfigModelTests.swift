import Controller
import NetTypes
import Overlay
import StrictYAML
import Testing

@Suite struct ConfigModelTests {
    @Test func countsGenerationsAndKeepsUIDs() throws {
        var model = ConfigModel()
        #expect(try model.apply(demo).map(\.action) == Array(repeating: .created, count: 7))
        #expect(try model.apply(demo).map(\.action) == Array(repeating: .unchanged, count: 7))
        let before = try #require(model.port("blue1"))
        #expect(before.generation == 1 && before.uid == "uid5")
        let changes = try model.apply(port("blue1", mac: "02:00:00:00:01:11", address: "10.1.0.21"))
        #expect(changes.map(\.action) == [.updated])
        #expect(model.port("blue1")?.generation == 2 && model.port("blue1")?.uid == "uid5")
        // What was read back, uid and generation included, can be applied again.
        #expect(try model.apply(YAMLDocuments.text(model.objects())).allSatisfy { $0.action == .unchanged })
    }

    @Test func assignsVNIsThatStay() throws {
        var model = try ConfigModel.demo()
        #expect(model.virtualNetwork("blue")?.vni == VNI(1) && model.virtualNetwork("red")?.vni == VNI(2))
        try model.apply(network("green", "10.3.0.0/24", vni: 3) + "---\n" + network("grey", "10.4.0.0/24"))
        #expect(model.virtualNetwork("grey")?.vni == VNI(4), "3 was asked for")
        // Changed without naming a VNI: keeps it.
        try model.apply(network("grey", "10.5.0.0/24"))
        #expect(model.virtualNetwork("grey")?.vni == VNI(4) && model.virtualNetwork("grey")?.generation == 2)
        // A freed number is not the next one given.
        _ = try model.delete(ObjectKey(.virtualNetwork, "grey"))
        try model.apply(network("white", "10.6.0.0/24"))
        #expect(model.virtualNetwork("white")?.vni == VNI(5))
    }

    @Test func vniNumbersWrapAround() throws {
        var model = ConfigModel(lastVNI: VNI.maximum - 1)
        try model.apply(network("a", "10.1.0.0/24") + "---\n" + network("b", "10.2.0.0/24"))
        #expect(model.virtualNetwork("a")?.vni == VNI(VNI.maximum) && model.virtualNetwork("b")?.vni == VNI(1))
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        var text: String, field: String, message: String
        var testDescription: String { message }
    }
    static let bad: [Bad] = [
        Bad(
            text: port("p", network: "green", mac: "02:00:00:00:00:01", address: "10.1.0.5"), field: "spec.network",
            message: "VirtualNetwork green does not exist"),
        Bad(
            text: port("p", node: "node9", mac: "02:00:00:00:00:01", address: "10.1.0.5"), field: "spec.node",
            message: "ComputeNode node9 does not exist"),
        Bad(
            text: port("p", mac: "02:00:00:00:00:01", address: "10.9.0.5"), field: "spec.addresses[0]",
            message: "10.9.0.5 is in no subnet of network blue (10.1.0.0/24)"),
        Bad(text: port("p", mac: "02:00:00:00:00:01", address: "10.1.0.1"), field: "spec.addresses[0]", message: "10.1.0.1 is the gateway"),
        Bad(text: port("p", mac: "02:00:00:00:00:01", address: "10.1.0.255"), field: "spec.addresses[0]", message: "broadcast address"),
        Bad(text: port("p", mac: "02:00:00:00:00:01", address: "10.1.0.11"), field: "spec.addresses[0]", message: "already an address of port blue1"),
        Bad(text: port("p", mac: "02:00:00:00:01:13", address: "10.1.0.5"), field: "spec.mac", message: "already the MAC address of port blue3"),
        Bad(
            text: port("p", mac: "02:00:00:00:00:01", address: "10.1.0.5", interface: "tap-blue1"), field: "spec.interface",
            message: "tap-blue1 on node1 is already the interface of port blue1"),
        Bad(text: network("green", "10.3.0.0/24", vni: 1), field: "spec.vni", message: "VNI 1 is already in use by VirtualNetwork blue"),
        Bad(text: network("blue", "10.7.0.0/24"), field: "spec.subnets", message: "port blue1: 10.1.0.11 is in no subnet"),
        Bad(
            text: "kind: ComputeNode\nmetadata: {name: node3}\nspec: {address: 10.0.0.12}\n", field: "spec.address",
            message: "already the address of ComputeNode node2"),
    ]

    @Test(arguments: bad) func oneBadObjectStopsAll(_ bad: Bad) throws {
        var model = try ConfigModel.demo()
        let before = model.objects()
        let error = #expect(throws: ConfigError.self) { try model.apply(network("fine", "10.8.0.0/24") + "---\n" + bad.text) }
        #expect(error?.message.contains(bad.message) == true, "\(String(describing: error))")
        #expect(error?.field == bad.field && error?.document == 2 && error?.line == 7 && error?.source == "t.yaml", "\(String(describing: error))")
        #expect(model.objects() == before)
        #expect(model.lastVNI == 2)
    }

    @Test func addressesMayBeSwappedInOneApply() throws {
        var model = try ConfigModel.demo()
        try model.apply(
            port("blue1", mac: "02:00:00:00:01:11", address: "10.1.0.13") + "---\n"
                + port("blue3", node: "node2", mac: "02:00:00:00:01:13", address: "10.1.0.11"))
        #expect(model.port("blue3")?.addresses == [IPAddress("10.1.0.11")!])
        #expect(throws: ConfigError.self) { try model.apply(port("p", mac: "02:00:00:00:00:01", address: "10.1.0.13")) }
    }

    @Test func deleteRefusesWhatIsUsed() throws {
        var model = try ConfigModel.demo()
        #expect(throws: ConfigModel.DeleteError.inUse(ObjectKey(.virtualNetwork, "blue"), by: ["blue1", "blue3"])) {
            try model.delete(ObjectKey(.virtualNetwork, "blue"))
        }
        #expect(throws: ConfigModel.DeleteError.inUse(ObjectKey(.computeNode, "node1"), by: ["blue1"])) {
            try model.delete(ObjectKey(.computeNode, "node1"))
        }
        #expect(throws: ConfigModel.DeleteError.notFound(ObjectKey(.port, "x"))) { try model.delete(ObjectKey(.port, "x")) }
        _ = try model.delete(ObjectKey(.port, "blue1"))
        _ = try model.delete(ObjectKey(.computeNode, "node1"))
        #expect(model.computeNode("node1") == nil)
        // Its address and MAC address are free again.
        try model.apply(port("other", node: "node2", mac: "02:00:00:00:01:11", address: "10.1.0.11"))
    }

    /// What a vif has room for is checked before it is stored, from either side.
    @Test func fatFlowsOfPortAndNetworkTogether() throws {
        var model = try ConfigModel.demo()
        func network(_ count: Int) -> String {
            "kind: VirtualNetwork\nmetadata: {name: blue}\nspec: {subnets: [{prefix: 10.1.0.0/24}, {prefix: \"fd00:1::/64\"}], fatFlows: [\(Array(repeating: "{protocol: 6}", count: count).joined(separator: ", "))]}\n"
        }
        let own = port("blue1", mac: "02:00:00:00:01:11", address: "10.1.0.11")
        let fat = own.replacing("spec: {", with: "spec: {fatFlows: [{protocol: 17}], ")
        try model.apply(network(15) + "---\n" + fat)
        func refusal(_ text: String) -> String {
            var copy = model
            do { try copy.apply(text) } catch { return "\(error)" }
            return ""
        }
        #expect(refusal(network(16)).contains("spec.fatFlows: port blue1 has 1 rules and its network blue 16; together they may have 16"))
        #expect(
            refusal(fat.replacing("{protocol: 17}", with: "{protocol: 17}, {protocol: 6}")).contains("port blue1 has 2 rules and its network blue 15")
        )
        #expect(refusal(network(16) + "---\n" + own) == "")
    }
}
