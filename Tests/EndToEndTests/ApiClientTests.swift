import Foundation
import Testing

extension EndToEnd {
    /// The programming API from another language: the Python client of docs/api-client, and vrctl as the second opinion.
    @Suite final class ApiClient {
        private let scratch: TemporaryDirectory
        private let router: Background
        private let socket: String

        init() throws {
            try Place.checkRequirements()
            scratch = try TemporaryDirectory()
            socket = scratch.path + "/dataplane.sock"
            router = try Background([Place.program("vrouter"), "--config", scratch.write("vrouter.yaml", "api: {socket: \(socket)}\n")])
            let (socket, router) = (socket, router)
            try eventually("vrouter's socket") {
                guard router.isRunning else { throw Failure("vrouter: \(router.errors)") }
                return FileManager.default.fileExists(atPath: socket)
            }
        }

        deinit { router.end() }

        private func python(_ arguments: String...) throws -> Outcome {
            try Shell.run(
                [Place.python] + arguments,
                environment: ["PYTHONPATH": Place.repository + "/docs/api-client", "PYTHONDONTWRITEBYTECODE": "1"])
        }

        private func vrctl<Answer: Decodable>(_ type: Answer.Type, _ arguments: String...) throws -> Answer {
            try decode(type, Shell.succeed([Place.program("vrctl"), "--socket", socket] + arguments + ["-o", "json"]))
        }

        private struct NextHops: Decodable {
            struct NextHop: Decodable { var id: Int, type: String, cookie: String, vif: Int?, destinationMac: String?, sourceMac: String? }
            var nextHops: [NextHop]
        }
        private struct Routes: Decodable {
            struct Route: Decodable { var vrf: Int, prefix: String, flags: String, nextHop: Int, cookie: String }
            var routes: [Route]
        }
        private struct Labels: Decodable {
            struct Label: Decodable { var label: Int, nextHop: Int }
            var labels: [Label]
        }
        private struct Networks: Decodable {
            struct Network: Decodable { var vni: Int, nextHop: Int }
            var vnis: [Network]
        }

        @Test func theExampleSaysWhatItsReadmeSays() throws {
            let outcome = try python("docs/api-client/two_vifs.py", socket)
            #expect(outcome.status == 0, "\(outcome.both)")
            let readme = textOfFile(Place.repository + "/docs/api-client/README.md")
            let promised = readme.split(separator: "```").first { $0.contains("vrouter 0.") }?.split(separator: "\n") ?? []
            let said = outcome.output.split(separator: "\n")
            try #require(promised.count == 6 && said.count == 6, "\(outcome.output)")
            // The first line has the version and the instance of the run.
            #expect(said[0].contains(/^vrouter \d+\.\d+\.\d+, instance [0-9a-f]{32}, 1 worker\(s\)$/), "\(said[0])")
            #expect(said.dropFirst() == promised.dropFirst())
            // It has cleaned up: next hop 0 is always there.
            #expect(try vrctl(VifsView.self, "vif", "--list").vifs.isEmpty)
            #expect(try vrctl(NextHops.self, "nh", "--list").nextHops.map(\.id) == [0])
        }

        @Test func vrctlReadsWhatPythonProgrammedAndPacketsFollowIt() throws {
            let file = scratch.path + "/out.pcap"
            let outcome = try python(
                Place.input("program.py"), socket, Place.repository + "/configs/pcap-offline-in.pcap", file, scratch.path + "/back.pcap")
            #expect(outcome.status == 0, "\(outcome.both)")

            let vifs = try vrctl(VifsView.self, "vif", "--list").vifs
            #expect(
                vifs.map { "\($0.id) \($0.name) \($0.kind) \($0.vrf) \($0.mac)" } == [
                    "3 py-in virtual 7 00:00:5e:00:01:00", "4 py-out virtual 7 00:00:5e:00:01:00",
                ])
            let hop = try #require(try vrctl(NextHops.self, "nh", "--get", "9").nextHops.first)
            #expect(hop.type == "encap" && hop.vif == 4 && hop.cookie == "0x7")
            #expect(hop.destinationMac == "02:00:00:00:01:0b" && hop.sourceMac == "00:00:5e:00:01:00")
            let inet = try vrctl(Routes.self, "rt", "--dump", "python").routes
            #expect(inet.map { "\($0.vrf) \($0.prefix) \($0.flags) \($0.nextHop) \($0.cookie)" } == ["7 10.1.0.11/32 P 9 0x7"])
            let inet6 = try vrctl(Routes.self, "rt", "--dump", "python", "--family", "inet6").routes
            #expect(inet6.map { "\($0.vrf) \($0.prefix) \($0.flags) \($0.nextHop) \($0.cookie)" } == ["7 fd00:1::/64  9 0x7"])
            #expect(try vrctl(Labels.self, "mpls", "--dump").labels.map { [$0.label, $0.nextHop] } == [[77, 9]])
            #expect(try vrctl(Networks.self, "vxlan", "--dump").vnis.map { [$0.vni, $0.nextHop] } == [[5077, 10]])

            // Handed in as if received on vif 3. Of the five packets of the capture one has a route and TTL left; it is rewritten as the next hop says.
            try eventually("five packets in, one out") {
                let statistics = try vrctl(VifsView.self, "vif", "--list").vifs.map(\.statistics)
                return statistics[0].rxPackets == 5 && statistics[1].txPackets == 1
            }
            let status = try vrctl(StatusView.self, "status", "dataplane").dataplane.details
            #expect(status?.balanced == true && status?.counters.isBalanced == true && status?.counters.received == 5)
            #expect(router.end().status == 0)
            let fields = ["eth.dst", "eth.src", "ip.src", "ip.dst", "ip.ttl"].flatMap { ["-e", $0] }
            let packets = try Shell.succeed(["tshark", "-r", file, "-T", "fields"] + fields)
            #expect(packets == "02:00:00:00:01:0b\t00:00:5e:00:01:00\t10.1.0.10\t10.1.0.11\t63\n")
        }

        /// Nothing of a refused batch's bad part stays, and the reason reaches the client.
        @Test func aRefusalReachesTheClient() throws {
            let outcome = try python(
                Place.input("program.py"), socket, Place.repository + "/configs/pcap-offline-in.pcap", scratch.path + "/none/out.pcap",
                scratch.path + "/back.pcap")
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("CODE_PORT_FAILED") && outcome.errors.contains("/none/out.pcap"), "\(outcome.errors)")
            #expect(outcome.errors.contains("vif 4 (py-out): port out does not exist"), "\(outcome.errors)")
            #expect(try vrctl(VifsView.self, "vif", "--list").vifs.map(\.name) == ["py-in"])
        }
    }
}
