import Foundation
import Testing

extension EndToEnd {
    /// Policies between virtual networks, with real sockets: blue1 and blue2 on node1, blue3 and red1 on node2, so that red1 meets blue both on its own node and across
    /// the fabric, out of an MPLS network into a VXLAN one.
    @Suite(.lab(.init(name: "np"))) struct NetworkPolicies {
        let lab: Lab
        init() throws { lab = try Lab.current }

        private static func networks(_ policies: String) -> String {
            """
            kind: VirtualNetwork
            metadata: {name: blue}
            spec: {subnets: [{prefix: 10.1.0.0/24}, {prefix: "fd00:1::/64"}], mtu: 9000, policies: [\(policies)]}
            ---
            kind: VirtualNetwork
            metadata: {name: red}
            spec: {subnets: [{prefix: 10.2.0.0/24}, {prefix: "fd00:2::/64"}], encapsulation: mplsOverUDP, mtu: 9000, policies: [\(policies)]}

            """
        }
        private static func policy(_ rules: String) -> String { "kind: NetworkPolicy\nmetadata: {name: shop}\nspec: {rules: [\(rules)]}\n---\n" }
        private static let ends = "source: {network: red}, destination: {network: blue}"

        /// The workloads have a default route to their gateway, as DHCP would have given them.
        private func routes() throws {
            for (workload, network) in [("blue1", 1), ("blue2", 1), ("blue3", 1), ("red1", 2)] {
                try lab.succeed(in: workload, ["ip", "route", "replace", "default", "via", "10.\(network).0.1"])
                try lab.succeed(in: workload, ["ip", "-6", "route", "replace", "default", "via", "fd00:\(network)::1"])
            }
        }
        private func configure(_ rules: String) throws { try lab.apply(Self.policy(rules) + Self.networks("shop")) }
        private func reset() throws { try lab.apply(Self.networks("")) }

        @Test func networksMeetWhereARulePasses() throws {
            try routes()
            defer { try? reset() }
            let servers = try [("blue1", 11), ("blue3", 13)].map {
                try lab.echoServer(in: $0.0, ["10.1.0.\($0.1)", "fd00:1::\($0.1)"], [8080, 8081])
            }
            let red = try lab.echoServer(in: "red1", ["10.2.0.11", "fd00:2::11"], [8080])
            defer { for process in servers + [red] { process.end() } }
            // Without a policy they do not see each other.
            #expect(try !lab.answers("red1", "tcp", "10.1.0.11", 8080) && !lab.answers("red1", "udp", "fd00:1::13", 8080))
            try configure(
                """
                {action: pass, direction: ">", protocol: tcp, ports: [8080], \(Self.ends)}, {action: pass, protocol: udp, \(Self.ends)},
                {action: pass, direction: ">", protocol: icmp, \(Self.ends)}, {action: pass, direction: ">", protocol: icmpv6, \(Self.ends)}
                """)
            try eventually("red1 reaches blue1") { try lab.answers("red1", "tcp", "10.1.0.11", 8080) }
            try eventually("red1 reaches blue3") { try lab.answers("red1", "tcp", "fd00:1::13", 8080) }
            for address in ["10.1.0.11", "10.1.0.13", "fd00:1::11", "fd00:1::13"] {
                #expect(try lab.answers("red1", "tcp", address, 8080), "\(address)")
                #expect(try !lab.answers("red1", "tcp", address, 8081), "\(address)")
                #expect(try lab.answers("red1", "udp", address, 8081), "\(address)")
                try lab.expectPing(from: "red1", address)
            }
            // The other way only UDP.
            for workload in ["blue1", "blue3"] {
                for address in ["10.2.0.11", "fd00:2::11"] {
                    #expect(try !lab.answers(workload, "tcp", address, 8080), "\(workload) \(address)")
                    #expect(try lab.answers(workload, "udp", address, 8080), "\(workload) \(address)")
                    #expect(try lab.ping(from: workload, address, count: 2, "-W", "1").received == 0, "\(workload) \(address)")
                }
            }
            // Within a network nothing has changed.
            #expect(try lab.answers("blue2", "tcp", "10.1.0.13", 8081) && lab.answers("blue2", "tcp", "fd00:1::11", 8081))
            #expect(
                try lab.vrctl("node2", "flow", "-l").output.contains("Action:D(OutPolicy)")
                    || lab.vrctl("node2", "flow", "-l").output.contains("Action:D(Policy)"))
            let no = try lab.vrctl("node2", "policy", "explain", "--port", "tap-red1", "tcp 10.2.0.11:4321 > 10.1.0.13:8081").output
            #expect(no.contains("from the workload (egress): deny") && no.contains("red/blue"), "\(no)")
            let yes = try lab.vrctl("node2", "policy", "explain", "--port", "tap-red1", "tcp 10.2.0.11:4321 > 10.1.0.13:8080").output
            #expect(yes.contains("from the workload (egress): pass") && yes.contains("shop/rules[0]"), "\(yes)")
            // What becomes of it, where both ends are here, where one is elsewhere, and from an address that is not red1's.
            func verdict(_ node: String, _ port: String, _ flow: String) throws -> String {
                try lab.vrctl(node, "policy", "explain", "--port", port, flow).output.split(separator: "\n").last.map(String.init) ?? ""
            }
            #expect(try verdict("node2", "tap-red1", "tcp 10.2.0.11:4321 > 10.1.0.13:8080").hasPrefix("verdict: forwarded to tap-blue3 (vif0/"))
            #expect(try verdict("node2", "tap-blue3", "tcp 10.2.0.11:4321 > 10.1.0.13:8080").hasPrefix("verdict: forwarded to tap-blue3 (vif0/"))
            #expect(try verdict("node2", "tap-red1", "tcp 10.2.0.11:4321 > 10.1.0.13:8081").hasPrefix("verdict: dropped on its way out of tap-red1"))
            #expect(
                try verdict("node2", "tap-red1", "tcp 10.2.0.11:4321 > 10.1.0.11:8080").hasPrefix("verdict: forwarded into the tunnel of next hop"))
            #expect(try verdict("node2", "tap-red1", "tcp 10.2.0.99:4321 > 10.1.0.13:8080").hasPrefix("verdict: dropped by antispoofing at tap-red1"))
            #expect(try verdict("node1", "tap-blue1", "tcp 10.2.0.11:4321 > 10.1.0.11:8080").contains("its sender is not on this node"))
            #expect(
                try verdict("node1", "tap-blue1", "tcp [fd00:2::11]:4321 > [fd00:1::11]:8081").hasPrefix("verdict: dropped on its way to tap-blue1"))
            // A policy that networks have cannot go.
            let refused = try lab.vrctl("node1", "delete", "NetworkPolicy", "shop")
            #expect(refused.status != 0 && refused.both.contains("is a policy of VirtualNetwork blue, red"), "\(refused.both)")
            try lab.expectSoundDataplane()
        }

        @Test func aChangeStopsWhatItForbidsAndNothingElse() throws {
            try routes()
            defer { try? reset() }
            let servers = try [("blue1", 11), ("blue3", 13)].map {
                try lab.echoServer(in: $0.0, ["10.1.0.\($0.1)", "fd00:1::\($0.1)"], [8080, 8081])
            }
            defer { for process in servers { process.end() } }
            let others =
                "{action: pass, protocol: udp, \(Self.ends)}, {action: pass, protocol: icmp, \(Self.ends)}, {action: pass, protocol: icmpv6, \(Self.ends)}"
            try configure("{action: pass, protocol: tcp, ports: [8080, 8081], \(Self.ends)}, \(others)")
            try eventually("red1 reaches both") {
                try lab.answers("red1", "tcp", "10.1.0.11", 8080) && lab.answers("red1", "tcp", "fd00:1::13", 8080)
            }
            let ends = ["10.1.0.11", "fd00:1::13"].flatMap { [($0, 8080), ($0, 8081)] }
            let talk = try lab.talk(in: "red1", ends)
            defer { talk.process.end() }
            try eventually("all four talk") { (0..<4).allSatisfy { talk.said($0).count > 5 } }
            let pings = [try SteadyPing(lab, from: "red1", "10.1.0.11"), try SteadyPing(lab, from: "red1", "fd00:1::13")]
            let datagrams = try ends.map { try lab.steadyDatagrams(in: "red1", to: $0.0, $0.1) }
            try configure("{action: pass, protocol: tcp, ports: [8081], \(Self.ends)}, \(others)")
            try eventually("the forbidden ones are silent") { talk.isSilent(0) && talk.isSilent(2) }
            let before = talk.said(1).count
            try eventually("the others talk on") { talk.said(1).count > before + 3 && talk.said(3).count > before + 3 }
            #expect(!talk.wasEverSilent(1) && !talk.wasEverSilent(3))
            for ping in pings {
                let (answered, lost) = try ping.end()
                #expect(answered > 100 && lost.isEmpty, "not answered: \(lost) of \(answered)")
            }
            for (end, steady) in zip(ends, datagrams) {
                let seen = try steady.end()[0]
                #expect(seen.last > 100 && seen.lost.isEmpty, "\(end): \(seen)")
            }
            // Without policies the networks part.
            try reset()
            try eventually("all are silent") { talk.isSilent(1) && talk.isSilent(3) }
            try lab.expectSoundDataplane()
        }

        /// The first packet of a connection waits until the agent has decided; of red1's to blue3 that of its node, of those to blue1 first that one and then the other node's.
        @Test func theAgentsDecideWhatIsTrapped() throws {
            try routes()
            defer { try? reset() }
            let servers = try [("blue1", 11), ("blue3", 13)].map {
                try lab.echoServer(in: $0.0, ["10.1.0.\($0.1)", "fd00:1::\($0.1)"], [8080, 8081])
            }
            defer { for process in servers { process.end() } }
            let trap = "{action: trap, direction: \">\", protocol: tcp, \(Self.ends), log: true}", udp = "{action: pass, protocol: udp, \(Self.ends)}"
            try configure("\(trap), \(udp)")
            let ends = ["10.1.0.11", "10.1.0.13", "fd00:1::11", "fd00:1::13"]
            for address in ends { try eventually("red1 reaches \(address)") { try lab.answers("red1", "tcp", address, 8080) } }
            func log(_ node: String) -> String { textOfFile("\(lab.directory)/log/\(node)-agent.log") }
            for node in ["node1", "node2"] {
                try eventually("\(node)'s agent tells") {
                    log(node).contains("a rule has a connection decided") && log(node).contains("verdict=held")
                }
            }
            let explained = try lab.vrctl("node2", "policy", "explain", "--port", "tap-red1", "tcp 10.2.0.11:4321 > 10.1.0.13:8080").output
            #expect(explained.contains("shop/rules[0]") && explained.contains("held"), "\(explained)")
            #expect(try lab.vrctl("node2", "policy", "log").output.contains("; held"))
            // An address that nobody has is denied by the agent.
            #expect(try !lab.answers("red1", "tcp", "10.1.0.99", 8080))
            #expect(try lab.vrctl("node2", "flow", "--match", "10.1.0.99:8080").output.contains("Action:D(Unknown)"))

            let talk = try lab.talk(in: "red1", ends.map { ($0, 8080) })
            defer { talk.process.end() }
            try eventually("all talk") { (0..<4).allSatisfy { talk.said($0).count > 5 } }
            for address in ["10.1.0.13:8080", "[fd00:1::13]:8080"] {
                let flows = try lab.vrctl("node2", "flow", "--match", address).output
                #expect(flows.contains("Action:F"), "\(flows)")
            }
            // While an agent does not answer: what it was to decide about goes after two seconds, what is decided goes on, and so does what needs no decision.
            let agent = try lab.processIdentifier("node2-agent")
            func unanswered() throws -> Int { try lab.drops("node2", "flow_unusable") }
            let before = try unanswered(), steady = try lab.steadyDatagrams(in: "red1", to: "10.1.0.11", 8081)
            Foundation.kill(agent, SIGSTOP)
            #expect(try !lab.answers("red1", "tcp", "10.1.0.13", 8081))
            try eventually("what waited is dropped") { try unanswered() > before }
            let sums = try lab.vrctl("node2", "flow", "-s").output
            #expect(sums.contains("unanswered"), "\(sums)")
            // Without one it is dropped at once.
            Foundation.kill(agent, SIGCONT)
            try lab.kill("node2-agent")
            #expect(try !lab.answers("red1", "tcp", "10.1.0.13", 8081))
            #expect(try lab.drops("node2", "trap_no_listener") > 0)
            try lab.shell("lab_start_agent node2")
            try eventually("the new agent decides", within: 30) { try lab.answers("red1", "tcp", "10.1.0.13", 8081) }
            #expect((0..<4).allSatisfy { !talk.wasEverSilent($0) })

            // A rule that changes beside it, and one that denies some of what the agents let pass.
            try configure("{action: deny, protocol: sctp, \(Self.ends)}, \(trap), \(udp)")
            try talk.wait(4)
            #expect((0..<4).allSatisfy { !talk.wasEverSilent($0) })
            try configure(
                "{action: deny, protocol: tcp, source: {network: red}, destination: {prefixes: [10.1.0.13, \"fd00:1::11\"]}}, \(trap), \(udp)")
            try eventually("what is denied now is silent") { talk.isSilent(1) && talk.isSilent(2) }
            try talk.wait(4)
            #expect(!talk.wasEverSilent(0) && !talk.wasEverSilent(3))
            let seen = try steady.end()[0]
            #expect(seen.last > 200 && seen.lost.isEmpty, "\(seen)")
            try lab.expectSoundDataplane()
        }

        /// An analyser on the fabric (where the controller is) gets what a rule passes, each packet once, across the fabric and within a node; the agents' logs say which rule decided
        /// which connection.
        @Test func aRuleMirrorsAndTells() throws {
            try routes()
            defer { try? reset() }
            let servers = try [("blue1", 11), ("blue3", 13)].map {
                try lab.echoServer(in: $0.0, ["10.1.0.\($0.1)", "fd00:1::\($0.1)"], [8080, 8081])
            }
            defer { for process in servers { process.end() } }
            try lab.shell(
                """
                ip -n $LAB-controller link add analyser mtu 9000 type vxlan id 7000 local 10.0.0.1 dstport 4789 nolearning dev eth0
                ip -n $LAB-controller link set analyser up
                """)
            defer { _ = try? lab.shell("ip -n $LAB-controller link delete analyser") }
            let scratch = try TemporaryDirectory(), file = "\(scratch.path)/copies.pcap"
            let watcher = try lab.start(in: "controller", ["tcpdump", "-i", "analyser", "-U", "-s", "0", "-w", file])
            defer { watcher.end(SIGINT) }
            try eventually("tcpdump") { watcher.errors.contains("listening") }
            try configure(
                """
                {action: pass, protocol: tcp, ports: [8080], \(Self.ends), mirror: {analyser: 10.0.0.1, vni: 7000}, log: true},
                {action: deny, protocol: tcp, ports: [8081], \(Self.ends), log: true}, {action: pass, protocol: udp, \(Self.ends)}
                """)
            // Packets until the analyser is found on the fabric are not copied.
            for node in ["node1", "node2"] {
                try eventually("\(node) has the mirror") { try lab.vrctl(node, "mirror", "--dump").output.contains("7000") }
            }
            try eventually("red1 reaches blue3") { try lab.answers("red1", "udp", "10.1.0.13", 8080) }
            #expect(try lab.answers("red1", "tcp", "10.1.0.13", 8080) && lab.answers("red1", "tcp", "fd00:1::11", 8080))
            #expect(try !lab.answers("red1", "tcp", "10.1.0.11", 8081) && lab.answers("red1", "udp", "10.1.0.11", 8081))
            func copies(_ filter: String) throws -> [[String]] {
                let fields = ["frame.number", "tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack", "tcp.flags"]
                let text = try Shell.succeed(["tshark", "-r", file, "-Y", filter, "-T", "fields"] + fields.flatMap { ["-e", $0] })
                return text.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
            }
            for address in ["ip.addr == 10.1.0.13", "ipv6.addr == fd00:1::11"] {
                let synchronising = { try copies("\(address) && tcp.flags.syn == 1") }
                try eventually("the copies for \(address)") { try synchronising().count >= 2 && copies("\(address) && tcp.len == 5").count >= 2 }
                // Question and answer, each once.
                let seen = try (synchronising().count, copies("\(address) && tcp.len == 5").count)
                #expect(seen == (2, 2), "\(address): \(seen)")
            }
            #expect(try copies("udp || tcp.port == 8081").isEmpty)
            func log(_ node: String) -> [Substring] { textOfFile("\(lab.directory)/log/\(node)-agent.log").split(separator: "\n") }
            func tells(_ node: String, _ words: String...) -> Bool { log(node).contains { line in words.allSatisfy { line.contains($0) } } }
            try eventually("the agents' logs") {
                tells("node2", "a rule passes a connection", "shop/rules[0]", "> 10.1.0.13:8080", "port=red1", "egress", "forwarded")
                    && tells("node2", "shop/rules[0]", "> 10.1.0.13:8080", "port=blue3", "ingress", "forwarded")
                    && tells("node1", "shop/rules[0]", "> [fd00:1::11]:8080", "port=blue1", "ingress")
                    && tells("node2", "a rule denies a connection", "shop/rules[1]", "> 10.1.0.11:8081", "port=red1", "dropped (Policy)")
            }
            let shown = try lab.vrctl("node2", "policy", "log").output
            #expect(shown.contains("pass tcp 10.2.0.11:") && shown.contains("shop/rules[1]") && shown.contains("dropped (Policy)"), "\(shown)")
            #expect(!shown.contains("udp"), "\(shown)")
            // Without the rule nothing is copied any more, and the mirror goes.
            try reset()
            try eventually("no mirror is left") { try !lab.vrctl("node2", "mirror", "--dump").output.contains("7000") }
            try lab.expectSoundDataplane()
        }
    }
}
