import Foundation
import Testing

extension EndToEnd {
    /// The same lab on DPDK ports: net_af_packet on the fabric and for the host, net_tap for workloads; no hugepages.
    @Suite(.lab(.init(name: "dpdk", ports: "dpdk"))) struct DPDK {
        let lab: Lab
        init() throws { lab = try Lab.current }

        @Test(arguments: [("blue3", "10.1.0.13"), ("blue3", "fd00:1::13"), ("blue2", "10.1.0.12"), ("blue2", "fd00:1::12")])
        func pingAndTCP(_ receiver: String, _ address: String) throws {
            try lab.expectPing(from: "blue1", address)
            try lab.expectTransfer(from: "blue1", to: receiver, address, mebibytes: 32)
            try lab.expectSoundDataplane()
        }

        @Test func gateway() throws {
            try lab.expectPing(from: "blue1", "10.1.0.1")
            try lab.expectPing(from: "red1", "fd00:2::1")
        }

        @Test func theNodesOwnTCP() throws {
            try lab.expectTransfer(from: "node1", to: "controller", "10.0.0.1", mebibytes: 16, port: 6001)
            try lab.expectTransfer(from: "controller", to: "node1", "10.0.0.11", mebibytes: 16, port: 6002)
        }

        @Test func itIsDPDK() throws {
            let text = try lab.vrctl("node1", "vif", "--list").output
            #expect(text.contains("PMD: fabric0") && text.contains("PMD: tap-blue1"), "\(text)")
            #expect(text.contains("net_tap") && text.contains("net_af_packet"))
        }
    }
}
