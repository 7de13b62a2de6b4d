import Controller
import Foundation
import NetTypes
import Overlay
import Testing

let demo = """
    kind: ComputeNode
    metadata: {name: node1}
    spec: {address: 10.0.0.11}
    ---
    kind: ComputeNode
    metadata: {name: node2}
    spec: {address: 10.0.0.12}
    ---
    kind: VirtualNetwork
    metadata: {name: blue}
    spec: {subnets: [{prefix: 10.1.0.0/24}]}
    ---
    kind: VirtualNetwork
    metadata: {name: red}
    spec: {subnets: [{prefix: 10.2.0.0/24}], encapsulation: mplsOverUDP}
    ---
    kind: Port
    metadata: {name: blue1}
    spec: {network: blue, node: node1, mac: "02:00:00:00:01:11", addresses: [10.1.0.11], interface: tap-blue1}
    ---
    kind: Port
    metadata: {name: blue3}
    spec: {network: blue, node: node2, mac: "02:00:00:00:01:13", addresses: [10.1.0.13]}
    ---
    kind: Port
    metadata: {name: red1}
    spec: {network: red, node: node2, mac: "02:00:00:00:02:11", addresses: [10.2.0.11]}
    """

func network(_ name: String, _ prefix: String, vni: Int? = nil) -> String {
    "kind: VirtualNetwork\nmetadata: {name: \(name)}\nspec: {subnets: [{prefix: \(prefix)}]\(vni.map { ", vni: \($0)" } ?? "")}\n"
}
func port(_ name: String, network: String = "blue", node: String = "node1", mac: String, address: String, interface: String? = nil) -> String {
    "kind: Port\nmetadata: {name: \(name)}\nspec: {network: \(network), node: \(node), mac: \"\(mac)\", addresses: [\(address)]\(interface.map { ", interface: \($0)" } ?? "")}\n"
}

extension ConfigModel {
    @discardableResult
    mutating func apply(_ text: String) throws -> [ConfigModel.Change] {
        var count = objects.count
        return try apply(YAMLDocuments.located(text: text, source: "t.yaml")) {
            count += 1
            return "uid\(count)"
        }
    }
    static func demo() throws -> ConfigModel {
        var model = ConfigModel()
        try model.apply(ControllerTests.demo)
        return model
    }
}

/// A directory that goes away with the value.
final class TemporaryDirectory {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "/controller-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
