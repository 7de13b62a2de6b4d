import Foundation
import Testing

extension EndToEnd {
    /// Capture file in, capture files out: by a user without any privilege.
    @Suite final class Offline {
        private let scratch: TemporaryDirectory
        init() throws {
            try Place.checkRequirements()
            scratch = try TemporaryDirectory()
            // Its own directory, writable by nobody: the configuration's paths are relative. The program is copied, as the build may be in a
            // directory that is root's alone.
            try Shell.succeed([
                "sh", "-c",
                """
                set -e
                mkdir '\(scratch.path)/configs'
                cp configs/pcap-offline.yaml configs/pcap-offline-in.pcap '\(scratch.path)/configs/'
                cp '\(Place.program("vrouter"))' '\(scratch.path)/vrouter'
                chown -R nobody: '\(scratch.path)'
                """,
            ])
        }

        private func run(_ arguments: String...) throws -> Outcome {
            let user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
            return try Shell.run(user + ["./vrouter", "--config", "configs/pcap-offline.yaml"] + arguments, directory: scratch.path)
        }

        @Test func whatAWorkloadSendsLeavesInVXLAN() throws {
            let outcome = try run("-o", "json")
            #expect(outcome.status == 0, "\(outcome.both)")
            let counters = try decode(Summary.self, outcome.output).counters
            #expect(counters.received == 5 && counters.forwarded == 4 && counters.dropped == 2 && counters.isBalanced, "\(outcome.output)")

            let fields = ["ip.src", "ip.dst", "udp.dstport", "vxlan.vni", "icmp.type", "frame.number"].flatMap { ["-e", $0] }
            let lines = try Shell.succeed(["tshark", "-r", scratch.path + "/pcap-offline-fabric.pcap", "-T", "fields"] + fields)
            let packets = lines.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
            #expect(packets.count == 1)
            let packet = try #require(packets.first)
            #expect(
                packet[0] == "10.0.0.11,10.1.0.10" && packet[1] == "10.0.0.12,10.1.0.20" && packet[2].hasPrefix("4789") && packet[3] == "5001",
                "\(packet)")

            // The neighbour's packet as it was routed, and to the sender: that a hop limit ended, and who has the gateway's address.
            func decoded(_ file: String, _ filter: String) throws -> Int {
                let words = ["tshark", "-r", "\(scratch.path)/\(file)", "-Y", filter, "-T", "fields", "-e", "frame.number"]
                return try Shell.succeed(words).split(separator: "\n").count
            }
            #expect(try decoded("pcap-offline-workload2.pcap", "ip.dst == 10.1.0.11 && eth.dst == 02:00:00:00:01:0b") == 1)
            #expect(try decoded("pcap-offline-workload1.pcap", "icmp.type == 11 && ip.src == 10.1.0.1") == 1)
            #expect(try decoded("pcap-offline-workload1.pcap", "arp.opcode == 2 && arp.src.hw_mac == 00:00:5e:00:01:00") == 1)
        }

        @Test func theSummaryInWordsAddsUp() throws {
            let outcome = try run()
            #expect(outcome.status == 0, "\(outcome.both)")
            #expect(outcome.output.contains("received 5 + generated 2 = forwarded 4 + dropped 2 + trapped 0 + consumed 1"), "\(outcome.output)")
        }

        private struct Summary: Decodable {
            var received: Int, generated: Int, forwarded: Int, dropped: Int, trapped: Int, consumed: Int
            var counters: DataplaneView.Counters {
                .init(received: received, generated: generated, forwarded: forwarded, dropped: dropped, trapped: trapped, consumed: consumed)
            }
        }
    }
}
