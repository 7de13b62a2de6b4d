import Foundation
import Testing

extension EndToEnd {
    /// Broadcast, unknown unicast and multicast in a network that the controller configures: every port of the network gets one copy, on its own node and on the
    /// other, and nobody else gets any.
    @Suite(.lab(.init(name: "bum"))) struct Broadcast {
        let lab: Lab
        init() throws { lab = try Lab.current }

        static let workloads = ["blue1", "blue2", "blue3", "red1"]

        /// Hears every frame that comes in at a workload's interface, as hexadecimal lines.
        private final class Listener {
            private let process: Background
            init(_ lab: Lab, in workload: String) throws {
                let program = """
                    import socket, sys
                    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                    s.bind(("eth0", 0))
                    print("ready", flush=True)
                    while True:
                        frame, address = s.recvfrom(65536)
                        if address[2] != 4: print(frame.hex(), flush=True)
                    """
                let process = try lab.start(in: workload, [Place.python, "-c", program])
                self.process = process
                try eventually("the listener in \(workload)") { process.output.hasPrefix("ready") }
            }
            /// Frames with these octets in them.
            func count(_ hex: String) -> Int { process.output.split(separator: "\n").count { $0.contains(hex) } }
            func end() { process.end() }
        }

        private func listeners(except sender: String = "") throws -> [String: Listener] {
            try Dictionary(uniqueKeysWithValues: Self.workloads.filter { $0 != sender }.map { ($0, try Listener(lab, in: $0)) })
        }

        private static func hex(_ text: String) -> String { text.utf8.map { String(format: "%02x", $0) }.joined() }

        /// The expectation of this suite: `count` frames with these octets at each of `members`, none at the others, also a moment later.
        private func expect(
            _ listeners: [String: Listener], _ hex: String, _ count: Int, at members: Set<String>, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            try eventually("\(count) copies at \(members.sorted())") { members.allSatisfy { (listeners[$0]?.count(hex) ?? 0) >= count } }
            // What would come twice, or to somebody else, is under way now: an own frame after it shows that the way is empty.
            Thread.sleep(forTimeInterval: 0.2)
            for (name, listener) in listeners {
                #expect(listener.count(hex) == (members.contains(name) ? count : 0), "\(name)", sourceLocation: sourceLocation)
            }
        }

        /// Datagrams to the subnet's broadcast address, to an IPv4 group and to all IPv6 nodes of the link, from either node.
        @Test(arguments: [
            ("blue1", "10.1.0.255", "all of the subnet"), ("blue1", "224.1.1.1", "a group"), ("blue1", "ff02::1", "all IPv6 nodes"),
            ("blue3", "255.255.255.255", "everybody"), ("blue3", "ff02::1", "all IPv6 nodes, from the other node"),
        ])
        func datagramsReachEveryPortOnce(_ sender: String, _ destination: String, _ what: String) throws {
            let listeners = try listeners(except: sender)
            defer { for listener in listeners.values { listener.end() } }
            let word = "copy for \(what) \(UInt32.random(in: 0 ... .max))"
            let program = """
                import socket
                six = ":" in "\(destination)"
                s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                for n in range(5):
                    s.sendto(b"\(word)", ("\(destination)", 9999, 0, socket.if_nametoindex("eth0")) if six else ("\(destination)", 9999))
                """
            try lab.succeed(in: sender, [Place.python, "-c", program])
            try expect(listeners, Self.hex(word), 5, at: Set(["blue1", "blue2", "blue3"]).subtracting([sender]))
            try lab.expectSoundDataplane()
        }

        /// ARP and neighbour solicitations for an address that nobody told the controller: asked of every port, answered by the one that has it, and then the two talk.
        @Test(arguments: [("10.1.0.99", 24), ("fd00:1::99", 64)]) func anAddressNobodyToldIsFoundByAsking(_ address: String, _ length: Int) throws {
            let silent = try lab.ping(from: "blue1", address, count: 1, "-W", "1")
            #expect(silent.received == 0)
            // It may have it, but it is told to nobody.
            try lab.apply(
                """
                kind: Port
                metadata: {name: blue3}
                spec: {network: blue, node: node2, mac: "02:00:00:00:01:13", addresses: [10.1.0.13, "fd00:1::13"], interface: tap-blue3,
                  allowedAddressPairs: [{prefix: 10.1.0.99}, {prefix: "fd00:1::99"}]}
                """)
            try eventually("the pair") { try lab.vrctl("node2", "vif", "--list").output.contains("Allowed:10.1.0.99/32") }
            try lab.succeed(in: "blue3", ["ip", "address", "add", "\(address)/\(length)", "dev", "eth0"] + (length == 64 ? ["nodad"] : []))
            try lab.succeed(in: "blue1", ["ip", "neigh", "flush", "dev", "eth0"])
            let listeners = try listeners(except: "blue3")
            defer { for listener in listeners.values { listener.end() } }
            try lab.expectPing(from: "blue1", address)
            // The question went to the other port of the asker's node, too; the answers did not.
            let question =
                length == 24 ? "0001" + "020000000111" + "0a01000b" + "000000000000" + "0a010063" : "ff02000000000000" + "00000001ff000099" + "8700"
            #expect((listeners["blue2"]?.count(question) ?? 0) >= 1)
            #expect(listeners["red1"]?.count(question) == 0)
            try lab.succeed(in: "blue3", ["ip", "address", "del", "\(address)/\(length)", "dev", "eth0"])
            try lab.expectSoundDataplane()
        }

        @Test func everyPortAnswersABroadcastPing() throws {
            for workload in ["blue2", "blue3"] { try lab.succeed(in: workload, ["sysctl", "-qw", "net.ipv4.icmp_echo_ignore_broadcasts=0"]) }
            // ping ends with the first answer to its last question; the others' to that one are not seen.
            func answers(_ text: String, _ address: some StringProtocol) -> [Int] {
                text.matches(of: /from (\S+?)(?:%eth0)?: icmp_seq=(\d+)/).filter { $0.1 == address }.compactMap { Int($0.2) }.filter { $0 < 4 }
            }
            let four = try lab.run(in: "blue1", ["ping", "-n", "-b", "-c", "4", "-i", "0.2", "-W", "2", "10.1.0.255"]).both
            for address in ["10.1.0.12", "10.1.0.13"] { #expect(answers(four, address) == [1, 2, 3], "\(four)") }
            let six = try lab.run(in: "blue1", ["ping", "-n", "-c", "4", "-i", "0.2", "-W", "2", "ff02::1%eth0"]).both
            for workload in ["blue2", "blue3"] {
                let text = try lab.succeed(in: workload, ["ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "link"])
                let own = try #require(text.firstMatch(of: /inet6 (fe80[^\/]*)/)?.1)
                #expect(answers(six, own) == [1, 2, 3], "\(own) in \(six)")
            }
            try lab.expectSoundDataplane()
        }

        /// Frames to a MAC address that nobody has: dropped, until the network says that they are to be flooded.
        @Test func unknownUnicastFollowsTheNetwork() throws {
            let listeners = try listeners(except: "blue1")
            defer { for listener in listeners.values { listener.end() } }
            func send(_ word: String) throws {
                let program = """
                    import socket
                    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                    s.bind(("eth0", 0))
                    for n in range(4): s.send(bytes.fromhex("020000009999" "020000000111" "88b5") + b"\(word)" + bytes(40))
                    """
                try lab.succeed(in: "blue1", [Place.python, "-c", program])
            }
            func apply(_ floods: Bool) throws {
                let yaml = """
                    kind: VirtualNetwork
                    metadata: {name: blue}
                    spec:
                      subnets: [{prefix: 10.1.0.0/24, gateway: 10.1.0.1}, {prefix: "fd00:1::/64", gateway: "fd00:1::1"}]
                      encapsulation: vxlan
                      mtu: 9000
                      floodUnknownUnicast: \(floods)
                    """
                let outcome = try lab.vrctl("node1", "apply", "-f", "-", input: yaml)
                guard outcome.status == 0 else { throw Failure(outcome.both) }
            }
            let before = try lab.drops("node1", "no_l2_route")
            try send("nobody's 1")
            try eventually("four drops") { try lab.drops("node1", "no_l2_route") - before == 4 }
            try expect(listeners, Self.hex("nobody's 1"), 0, at: [])
            try apply(true)
            defer { try? apply(false) }
            try eventually("flooding on") {
                try send("on yet?")
                Thread.sleep(forTimeInterval: 0.1)
                return ["blue2", "blue3"].allSatisfy { (listeners[$0]?.count(Self.hex("on yet?")) ?? 0) > 0 }
            }
            try send("nobody's 2")
            try expect(listeners, Self.hex("nobody's 2"), 4, at: ["blue2", "blue3"])
            try lab.expectSoundDataplane()
        }

        /// The agent and then the controller are killed while a workload broadcasts every 5 ms: nothing is missing on the other node.
        @Test(arguments: ["node1-agent", "node2-agent", "controller"]) func aRestartLosesNoBroadcast(_ program: String) throws {
            try lab.waitUntilReady()
            let listener = try Listener(lab, in: "blue3")
            defer { listener.end() }
            let sender = try lab.start(
                in: "blue1",
                [
                    Place.python, "-c",
                    """
                    import signal, socket, time
                    # Ended between two copies: what is printed is what was sent.
                    going = True
                    def end(*_):
                        global going
                        going = False
                    signal.signal(signal.SIGTERM, end)
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    n = 0
                    while going:
                        s.sendto(b"beat %05d" % n, ("10.1.0.255", 9998))
                        print(n, flush=True)
                        n += 1
                        time.sleep(0.005)
                    """,
                ])
            try eventually("the first copies") { listener.count(Self.hex("beat ")) > 20 }
            try lab.kill(program)
            Thread.sleep(forTimeInterval: 0.3)
            try lab.shell(program == "controller" ? "lab_start_controller" : "lab_start_agent \(program.prefix(5))")
            try lab.waitUntilReady()
            let soon = listener.count(Self.hex("beat ")) + 100
            try eventually("more copies") { listener.count(Self.hex("beat ")) >= soon }
            sender.end(SIGTERM)
            let sent = sender.output.split(separator: "\n").count
            try eventually("all \(sent) copies") { listener.count(Self.hex("beat ")) >= sent }
            #expect(listener.count(Self.hex("beat ")) == sent)
            try lab.expectSoundDataplane()
        }

        /// The route by which a node asks for copies goes with its last port of the network, and comes back with it.
        @Test func theLastPortTakesTheRouteWithIt() throws {
            func routes() throws -> String { try lab.succeed(in: "controller", ["curl", "-sSf", "http://10.0.0.1:8082/v1/routes?vrf=blue"]) }
            let wish = "ff:ff:ff:ff:ff:ff,10.0.0.12/32"
            #expect(try routes().contains(wish) && routes().contains("ff:ff:ff:ff:ff:ff,10.0.0.11/32"))
            let removed = try lab.vrctl("node1", "delete", "port", "blue3")
            #expect(removed.status == 0, "\(removed.both)")
            try eventually("the route gone") { try !routes().contains(wish) }
            try eventually("node1 sends no copies there") {
                let text = try lab.vrctl("node1", "nh", "--list").output
                guard text.contains("Encap Sub NH:"), !text.contains("Evpn Sub NH"), !text.contains("10.0.0.12") else { throw Failure(text) }
                return true
            }
            let again = try lab.vrctl("node1", "apply", "-f", "configs/demo.yaml")
            #expect(again.status == 0, "\(again.both)")
            try lab.waitUntilReady()
            #expect(try routes().contains(wish))
        }
    }
}
