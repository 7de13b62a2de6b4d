import DataplaneAPI
import NetTypes
import SwiftProtobuf
import Synchronization
import Testing

@testable import vrctl

@Suite struct PolicyTests {
    private var router: FakeRouter {
        var policy = Dataplane_V1_Policy(), group = Dataplane_V1_AddressGroup(), vif = Dataplane_V1_Vif(), rule = Dataplane_V1_PolicyRule()
        rule.name = "web/https"
        rule.action = .pass
        rule.remote.group = 4
        rule.service.protocol = 6
        rule.service.destinationPorts = [
            .with {
                $0.first = 443
                $0.last = 443
            },
            .with {
                $0.first = 8000
                $0.last = 8999
            },
        ]
        policy.id = 1
        policy.name = "web"
        policy.origin = .securityGroup
        policy.defaultAction = .deny
        policy.rules = [rule, rule]
        policy.rules[1].mirror = 7
        policy.rules[1].log = true
        group.id = 4
        group.name = "clients"
        group.prefixes = [
            .with {
                $0.address = IPAddress("10.1.0.0")!.octets
                $0.length = 24
            }
        ]
        vif.id = 3
        vif.name = "web-1"
        return FakeRouter([.policy(policy), .addressGroup(group), .vif(vif)])
    }

    @Test func lists() async {
        #expect(
            await run(["vrctl", "policy", "get", "1"], router: router).output == """
                Policy 1 web (securityGroup)
                     0  pass  tcp port 443,8000-8999  remote group 4  (web/https)
                     1  pass  tcp port 443,8000-8999  remote group 4  mirror 7  log  (web/https)
                 else  deny

                """)
        #expect(
            await run(["vrctl", "policy", "get", "2"], router: router)
                == Run(code: 1, output: "", errors: "vrctl: no policy 2; vrctl policy list lists them\n"))
        #expect(await run(["vrctl", "policy", "groups"], router: router).output.hasSuffix("clients                             10.1.0.0/24\n"))
        #expect(await run(["vrctl", "policy", "list", "-o", "json"], router: router).output.contains("\"service\": \"tcp port 443,8000-8999\""))
    }

    @Test func explains() async {
        let router = router
        router.explanations.withLock {
            $0[true] = .with {
                $0.action = .deny
                $0.opinions = [
                    .with {
                        $0.policy = 1
                        $0.name = "web"
                        $0.origin = .securityGroup
                        $0.action = .deny
                    }
                ]
            }
            $0[false] = .with { $0.action = .pass }
            $0[true]?.outcome = .with {
                $0.verdict = .dropped
                $0.decider = .ingress
                $0.destinationVif = 3
                $0.dropReason = "OutSG"
                $0.opinion = .with {
                    $0.policy = 1
                    $0.name = "web"
                    $0.origin = .securityGroup
                    $0.action = .deny
                }
            }
        }
        let done = await run(["vrctl", "policy", "explain", "--port", "web-1", "tcp 10.0.1.4:4321 > 10.0.2.5:443"], router: router)
        #expect(
            done.output == """
                from the workload (egress): pass (the vif has no policy in this direction)
                to the workload (ingress): deny
                  deny  policy 1 web (securityGroup): no rule matches
                verdict: dropped on its way to web-1 (vif0/3), by policy 1 web (securityGroup): no rule matches

                """)
        let asked = router.questions.withLock { $0 }
        #expect(asked.count == 2 && asked.allSatisfy { $0.vif == 3 && $0.protocol == 6 && $0.sourcePort == 4321 && $0.destinationPort == 443 })
        #expect(await run(["vrctl", "policy", "explain", "--vif", "3", "tcp 1.1.1.1 > 2.2.2.2"], router: router).code == 2)
    }

    /// A Port's name is not its vif's: the agent knows which vif it has.
    @Test func explainsPortsByTheirOwnName() async {
        let web = FakeWeb([
            "GET /port/web%2F2": (200, #"{"name":"web/2","state":"active","vif":3}"#),
            "GET /port/late": (200, #"{"name":"late","state":"waiting","reason":"its interface is not told yet"}"#),
            "GET /port/none": (404, #"{"error":{"message":"there is no port none"}}"#),
        ])
        func explained(_ port: String, web: FakeWeb) async -> (Run, [UInt32]) {
            let router = router
            let done = await run(["vrctl", "policy", "explain", "--port", port, "tcp 10.0.1.4:1 > 10.0.2.5:2"], router: router, web: web)
            return (done, router.questions.withLock { $0.map(\.vif) })
        }
        #expect(await explained("web/2", web: web).0.code == 0)
        #expect(await explained("web/2", web: web).1 == [3, 3])
        #expect(await explained("late", web: web).0.errors == "vrctl: port 'late' has no vif yet: its interface is not told yet\n")
        #expect(
            await explained("none", web: web).0
                == Run(
                    code: 1, output: "",
                    errors:
                        "vrctl: no vif is named 'none' (vrctl vif --list lists them), and by the name of a Port the agent finds none: there is no port none\n"
                ))
        let down = await explained("none", web: FakeWeb(isDown: true)).0
        #expect(down.code == 3 && down.errors.contains("cannot reach vrouter-agent at http://127.0.0.1:9091"), "\(down)")
        // What a vif is named needs no agent.
        #expect(await explained("web-1", web: FakeWeb(isDown: true)).1 == [3, 3])
    }

    /// The last line of an explanation.
    @Test func verdicts() async {
        let router = router
        func verdict(_ build: @escaping @Sendable (inout Dataplane_V1_FlowOutcome) -> Void) async -> String {
            router.explanations.withLock { $0[true] = .with { $0.outcome = .with(build) } }
            let text = await run(["vrctl", "policy", "explain", "--vif", "3", "tcp 10.0.1.4:4321 > 10.0.2.5:443"], router: router).output
            return text.split(separator: "\n").last.map(String.init) ?? ""
        }
        #expect(
            await verdict {
                ($0.verdict, $0.exit, $0.sourceVif, $0.destinationVif, $0.nextHop) = (.forwarded, .workload, 3, 4, 40)
            } == "verdict: forwarded to  (vif0/4)")
        #expect(
            await verdict { ($0.verdict, $0.exit, $0.sourceVif, $0.nextHop, $0.translated) = (.forwarded, .tunnel, 3, 20, true) }
                == "verdict: forwarded into the tunnel of next hop 20; what the policies of its far end say is not known here; its addresses are translated on the way"
        )
        #expect(
            await verdict { ($0.verdict, $0.exit, $0.destinationVif) = (.forwarded, .workload, 3) }
                == "verdict: forwarded to web-1 (vif0/3); its sender is not on this node: what the policies there say is not known here")
        #expect(
            await verdict { ($0.verdict, $0.decider, $0.sourceVif, $0.dropReason) = (.dropped, .antispoof, 3, "invalid_source") }
                == "verdict: dropped by antispoofing at web-1 (vif0/3): its workload may not send from 10.0.1.4")
        #expect(
            await verdict { ($0.verdict, $0.decider, $0.sourceVif, $0.dropReason) = (.dropped, .route, 3, "no_route") }
                == "verdict: dropped as there is no route")
        #expect(
            await verdict { ($0.verdict, $0.decider, $0.sourceVif, $0.nextHop, $0.dropReason) = (.dropped, .route, 3, 0, "discards") }
                == "verdict: dropped by its route (discards, next hop 0)")
        #expect(await verdict { _ in } == "verdict: not told by this vrouter")
        let json = await run(["vrctl", "policy", "explain", "--vif", "3", "tcp 10.0.1.4:1 > 10.0.2.5:2", "-o", "json"], router: router).output
        #expect(json.contains("\"outcome\"") && json.contains("\"complete\""), "\(json)")
    }

    @Test func tellsWhatRulesDecided() async {
        let router = router
        router.decisions.withLock {
            $0 = [
                .with {
                    $0.timeNs = 1_700_000_000_123_456_000
                    $0.policy = 1
                    $0.policyName = "networkPolicies/blue:egress"
                    $0.ruleName = "shop/rules[0]"
                    $0.action = .pass
                    $0.vif = 3
                    $0.vrf = 1
                    $0.source = IPAddress("10.1.0.11")!.octets
                    $0.destination = IPAddress("10.2.0.11")!.octets
                    ($0.protocol, $0.sourcePort, $0.destinationPort) = (6, 4321, 80)
                },
                .with {
                    $0.timeNs = 1_700_000_000_123_456_000
                    $0.policy = 2
                    $0.rule = 7
                    $0.action = .deny
                    $0.dropReason = "OutPolicy"
                    $0.vif = 4
                    $0.ingress = true
                    $0.source = IPAddress("fd00::1")!.octets
                    $0.destination = IPAddress("fd00::2")!.octets
                    ($0.protocol, $0.icmpType, $0.icmpCode) = (58, 128, 0)
                },
            ]
        }
        let lines = await run(["vrctl", "policy", "log"], router: router).output.split(separator: "\n").map {
            $0.split(separator: " ").dropFirst().joined(separator: " ")
        }
        #expect(
            lines == [
                "pass tcp 10.1.0.11:4321 > 10.2.0.11:80 egress of vif0/3: shop/rules[0] (networkPolicies/blue:egress); forwarded",
                "deny icmpv6 fd00::1 > fd00::2 128/0 ingress of vif0/4: rule 7 (policy 2); dropped (OutPolicy)",
            ])
        let json = await run(["vrctl", "policy", "log", "-o", "json"], router: router).output
        for part in [
            "\"verdict\": \"forwarded\"", "\"dropReason\": \"OutPolicy\"", "\"sourcePort\": 4321", "\"icmpType\": 128", "\"direction\": \"ingress\"",
        ] {
            #expect(json.contains(part), "\(json)")
        }
        #expect(await run(["vrctl", "policy", "log", "--follow", "-o", "json"], router: router).output.split(separator: "\n").count == 2)
    }

    @Test func flowsAsPeopleWriteThem() throws {
        let ipv6 = try FlowText("udp [fd00::1]:53 > [fd00::2]:5353")
        #expect(ipv6.proto == 17 && ipv6.source == IPAddress("fd00::1") && ipv6.sourcePort == 53 && ipv6.destinationPort == 5353)
        let echo = try FlowText("icmp 10.0.0.1 > 10.0.0.2")
        #expect(echo.icmp?.type == 8 && echo.icmp?.code == 0)
        #expect(try FlowText("icmpv6 fd00::1 > fd00::2 1/4").icmp?.code == 4)
        #expect(try FlowText("47 10.0.0.1 > 10.0.0.2").proto == 47)
        for text in [
            "", "tcp", "tcp 1.1.1.1:1 2.2.2.2:2", "tcp 1.1.1.1:1 > [fd00::1]:1", "tcp fd00::1:80 > fd00::2:80", "xyz 1.1.1.1:1 > 2.2.2.2:2",
            "tcp 1.1.1.1:70000 > 2.2.2.2:2", "tcp 1.1.1.1:1 > 2.2.2.2:2 8/0",
        ] {
            #expect(throws: Failure.self) { try FlowText(text) }
        }
    }
}
