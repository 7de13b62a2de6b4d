import Controller
import DataplaneService
import Foundation
import Overlay
import Testing

@testable import Agent

/// Every file of configs/ is what it says it is: a program's configuration, or objects that a controller takes.
@Suite struct ExampleConfigurationTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "configs")
    static func files(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: folder).path)) ?? []).filter { $0.hasSuffix(".yaml") }
            .sorted()
    }
    static func text(_ file: String) throws -> String { try String(contentsOf: folder.appending(path: file), encoding: .utf8) }

    @Test(arguments: files("")) func programs(_ name: String) throws {
        switch name {
        case "agent.yaml": _ = try AgentConfiguration(yaml: Self.text(name), source: name)
        case "controller.yaml": _ = try ControllerConfiguration(text: Self.text(name), source: name)
        case "vrouter.yaml", "pcap-offline.yaml": _ = try VRouterConfiguration.parse(Self.text(name), source: name)
        case "demo.yaml": _ = try Self.model([name])
        default: Issue.record("\(name): say here what it is")
        }
    }

    /// On top of the demo's, as their comments tell.
    @Test(arguments: files("objects")) func objects(_ name: String) throws {
        let text = try Self.text("objects/\(name)")
        #expect(text.hasPrefix("#") && text.contains("#   vrctl apply -f configs/demo.yaml -f configs/objects/\(name)"))
        let model = try Self.model(["demo.yaml", "objects/\(name)"])
        // What it says is all read: writing it and reading it again changes nothing.
        var again = model
        let written = model.objects().filter { $0.kind != .computeNode }.map(\.yaml).joined(separator: "---\n")
        let changes = try again.apply(YAMLDocuments.located(text: written, source: name), makeUID: { "" })
        #expect(changes.allSatisfy { $0.action == .unchanged })
    }

    /// Each kind that an operator writes is shown.
    @Test func kinds() throws {
        let shown = try Self.files("objects").reduce(into: Set<ConfigKind>()) { kinds, name in
            kinds.formUnion(try Self.model(["demo.yaml", "objects/\(name)"]).objects().map(\.kind))
        }
        #expect(shown == Set(ConfigKind.allCases))
    }

    private static func model(_ files: [String]) throws -> ConfigModel {
        var model = ConfigModel(), count = 0
        for file in files {
            _ = try model.apply(
                YAMLDocuments.located(text: text(file), source: file),
                makeUID: {
                    count += 1
                    return "uid-\(count)"
                })
        }
        return model
    }
}
