import Dataplane
import Testing

@testable import DataplaneService

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The example of configs/, run: it is what the README tells people to try first.
@Suite struct OfflineTests {
    private let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The example with its files in `directory`.
    private func example(_ directory: String) throws -> VRouterConfiguration {
        let path = top.appending(path: "configs/pcap-offline.yaml").path
        let text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
            .replacing("configs/pcap-offline-in.pcap", with: top.appending(path: "configs/pcap-offline-in.pcap").path)
            .replacing("output: pcap-offline-", with: "output: \(directory)/")
        return try VRouterConfiguration.parse(text, source: path)
    }

    @Test func theExampleRunsToItsEnd() async throws {
        try await withTemporaryDirectory { directory in
            let configured = try ConfiguredRouter(try example(directory))
            #expect(configured.isOffline)
            configured.router.runUntilExhausted()
            let summary = OfflineSummary(configured.router)
            #expect(summary.received == 5)
            #expect(summary.isBalanced)
            #expect(summary.drops.contains { $0.name == "no_route" && $0.packets == 1 }, "\(summary.drops)")
            #expect(summary.files.map(\.path) == ["fabric", "workload1", "workload2"].map { "\(directory)/\($0).pcap" })
            // The VXLAN packet; the time-exceeded error and the ARP reply; the routed packet.
            #expect(summary.files.map(\.packets) == [1, 2, 1])
            #expect((summary.generated, summary.forwarded, summary.dropped, summary.trapped, summary.consumed) == (2, 4, 2, 0, 1))
            #expect(summary.text.hasPrefix("received 5"))
            let decoded = try JSONDecoder().decode(OfflineSummary.self, from: Data(summary.json.utf8))
            #expect(decoded == summary)
            configured.router.stop()
        }
    }

    @Test func everyExampleIsAccepted() throws {
        for name in ["vrouter.yaml", "pcap-offline.yaml"] {
            let configuration = try VRouterConfiguration.load(top.appending(path: "configs/\(name)").path)
            try ConfiguredRouter.check(configuration)
        }
    }

    /// What reads well but contradicts itself is found without opening a device, with its place.
    @Test func theCheckFindsWhatTheRouterWouldRefuse() throws {
        let configuration = try VRouterConfiguration.parse(
            """
            objects:
              ports: [{name: a, pcap: {interface: does-not-exist}}]
              vifs:
                - {id: 3, name: w, kind: virtual, port: b, mac: "00:00:5e:00:01:00"}
              routes: [{vrf: 9, prefix: 10.0.0.0/8, nextHop: 77}]
            """, source: "f")
        let failure = #expect(throws: ConfiguredRouter.Failure.self) { try ConfiguredRouter.check(configuration) }
        #expect(failure?.reasons.count == 2)
        #expect(failure?.reasons.first?.hasPrefix("f:4:7: objects.vifs[0]: ") == true, "\(String(describing: failure))")
        #expect(failure?.reasons.last?.hasPrefix("f:5:12: objects.routes[0]: ") == true)
    }

    @Test func aDPDKPortNeedsDPDK() throws {
        let configuration = try VRouterConfiguration.parse("objects: {ports: [{name: a, dpdk: {device: net_null0}}]}", source: "f")
        var failure = #expect(throws: ConfiguredRouter.Failure.self) { try ConfiguredRouter.check(configuration) }
        #expect(failure?.description == "f:1:19: objects.ports[0]: a DPDK port needs DPDK started: add a section `dpdk: {eal: […]}`")
        failure = #expect(throws: ConfiguredRouter.Failure.self) { try ConfiguredRouter(configuration) }
        #expect(failure?.description.hasPrefix("f:1:19: objects.ports[0]: port a: ") == true)
        #expect(failure?.description.contains("DPDK") == true)
    }

    @Test func onlyFilesMakeAnOfflineRun() throws {
        func isOffline(_ text: String) throws -> Bool {
            let configured = try ConfiguredRouter(try VRouterConfiguration.parse(text, source: "f"))
            defer { configured.router.stop() }
            return configured.isOffline
        }
        #expect(try !isOffline("api: none"))
        #expect(try !isOffline("api: none\nobjects: {ports: [{name: l, loopback: {}}]}"))
        let input = top.appending(path: "configs/pcap-offline-in.pcap").path
        #expect(try isOffline("api: none\nobjects: {ports: [{name: l, loopback: {}}, {name: a, pcapFile: {input: \(input)}}]}"))
        #expect(try !isOffline("objects: {ports: [{name: a, pcapFile: {input: \(input)}}]}"))
    }
}
