import DataplaneAPI
import Foundation
import SwiftProtobuf
import Synchronization
import Testing

@testable import vrctl

@Suite struct FlowLayoutTests {
    private var tcp: API.Flow {
        var flow = flow(147_464, 239_712, "1.1.1.4", 1136, "1.1.1.5", 80)
        flow.generation = 1
        flow.tcpState = "SSrEEr"
        flow.packets = 12
        flow.bytes = 3456
        flow.nextHop = 23
        flow.ingressVif = 3
        flow.udpSourcePort = 59_275
        flow.idleSeconds = 4
        flow.cookie = 0x61_6765_6e74
        return flow
    }

    @Test func twoLinesPerEntryInFixedColumns() {
        #expect(
            FlowLayout.entry(tcp) == """
                   147464<=>239712       1.1.1.4:1136                                        6 (2)
                                         1.1.1.5:80
                (Gen: 1, Action:F, Flags:, TCP:SSrEEr, QOS:-1, NH:23,  Stats:12/3456,
                 SPort 59275, Vif 3, Idle 4 s, forward)


                """)
    }

    @Test func otherProtocolsHaveNoTCPState() {
        var icmp = flow(7, 9, "fd00:1::10", 77, "fd00:1::20", 0, proto: 58, vrf: 1, forward: false)
        icmp.action = .drop
        #expect(
            FlowLayout.entry(icmp) == """
                        7<=>9            fd00:1::10:77                                      58 (1)
                                         fd00:1::20:0
                (Gen: 0, Action:D, Flags:, QOS:-1, NH:0,  Stats:0/0,
                 SPort 0, Vif 0, Idle 0 s, reverse)


                """)
    }

    @Test func aTranslatedFlowSaysWhatBecomesOfIt() {
        var nat = tcp
        nat.action = .nat
        nat.translation.source = .init([203, 0, 113, 5])
        nat.translation.sourcePort = 61001
        nat.translation.vrf = 4
        #expect(
            FlowLayout.entry(nat) == """
                   147464<=>239712       1.1.1.4:1136                                        6 (2)
                                         1.1.1.5:80
                (Gen: 1, Action:N(SPs), Flags:, TCP:SSrEEr, QOS:-1, NH:23,  Stats:12/3456,
                 Becomes 203.0.113.5:61001 > -:- (VRF 4),
                 SPort 59275, Vif 3, Idle 4 s, forward)


                """)
        let json = FlowLayout.json(nat).compact
        #expect(
            json.contains(
                #""action": "nat", "dropReason": null, "translation": {"source": "203.0.113.5", "sourcePort": 61001, "destination": null, "destinationPort": null, "vrf": 4}"#
            ))
    }

    @Test func aReverseThatIsGoneAndAnEntryNoPacketTook() {
        var flow = tcp
        flow.clearReverseIndex()
        flow.ingressVif = .max
        #expect(FlowLayout.entry(flow).hasPrefix("   147464<=>-            1.1.1.4:1136 "))
        #expect(FlowLayout.entry(flow).contains(" SPort 59275, Vif -, Idle 4 s, forward)"))
        #expect(FlowLayout.json(flow)["reverseIndex"] == .null && FlowLayout.json(flow)["ingressVif"] == .null)
    }

    @Test func headerNamesSizeAndEntries() {
        var usage = Dataplane_V1_TableUsage()
        usage.memoryBytes = 161_218_560
        usage.capacity = 629_760
        var statistics = Dataplane_V1_FlowStatistics()
        (statistics.entries, statistics.createdEntries, statistics.removedEntries, statistics.evicted) = (10, 14, 4, 1)
        #expect(
            FlowLayout.header(statistics, usage: usage) == """
                Flow table(size 161218560, entries 629760)

                Entries: Created 14 Deleted 4 Used 10 Aged 0 Closed 0 Evicted 1 Held Packets 0

                Action:F=Forward, D=Drop, H=Hold N=NAT(S=SNAT, D=DNAT, Ps=SPAT, Pd=DPAT)
                 Flags:E=Evicted, Ff=Fat Flow
                TCP(r=reverse):S=SYN, F=FIN, R=RST, C=HalfClose, E=Established, D=Dead

                    Index                Source:Port/Destination:Port                      Proto(V)
                -----------------------------------------------------------------------------------

                """)
    }

    /// Of every field its odd values, too; one field at a time and all together.
    @Test func jsonOfListsIsThatOfSingleFlows() {
        let changes: [(inout API.Flow) -> Void] = [
            { $0.clearReverseIndex() }, { $0.ingressVif = .max }, { $0.ownerVif = .max }, { $0.key.source = Data(repeating: 0xFD, count: 16) },
            { $0.key.destination = Data([1, 2, 3]) }, { $0.key.source = Data() }, { $0.dropReason = "a \"quoted\"\\ \u{7}\u{1b}[2J é 世" },
            { $0.tcpState = "" }, { $0.tcpState = "S\n" }, { $0.packets = .max }, { $0.bytes = UInt64(Int64.max) + 1 }, { $0.cookie = 0 },
            { $0.cookie = .max }, { $0.cookie = 0x10 }, { $0.qosMap = 255 }, { $0.mirror = 7 }, { $0.evicted = true }, { $0.fat = true },
            { $0.isForward = false },
            { $0.action = .drop }, { $0.action = .hold }, { $0.action = .nat }, { $0.action = .unspecified }, { $0.action = .UNRECOGNIZED(77) },
            { $0.translation.source = Data([203, 0, 113, 5]) }, { $0.translation.destinationPort = 80 },
            {
                $0.translation.destination = Data(repeating: 1, count: 16); $0.translation.vrf = 4; $0.translation.sourcePort = 1
            },
        ]
        var flows = [tcp], all = tcp
        for change in changes {
            flows.append(tcp)
            change(&flows[flows.count - 1])
            change(&all)
        }
        let plain = Collector(), fast = Collector()
        var slow = JSONArrayStream(key: "flows", output: plain), quick = JSONArrayStream(key: "flows", output: fast), buffer = TextBuffer()
        let parts: [[API.Flow]] = [Array(flows[..<3]), [], flows[3...] + [all]]
        for part in parts {
            slow.write(part.map(FlowLayout.json))
            quick.write(part, &buffer) { FlowLayout.write(json: $0, to: &$1) }
        }
        slow.end()
        quick.end()
        #expect(plain.text == fast.text && JSON(parsing: fast.text.utf8)?["flows"]?.array.count == changes.count + 2)
    }

    @Test func json() {
        #expect(
            FlowLayout.json(tcp).pretty == """
                {
                  "index": 147464,
                  "reverseIndex": 239712,
                  "vrf": 2,
                  "protocol": 6,
                  "source": "1.1.1.4",
                  "sourcePort": 1136,
                  "destination": "1.1.1.5",
                  "destinationPort": 80,
                  "action": "forward",
                  "dropReason": null,
                  "translation": null,
                  "isForward": true,
                  "tcpState": "SSrEEr",
                  "packets": 12,
                  "bytes": 3456,
                  "nextHop": 23,
                  "ingressVif": 3,
                  "ownerVif": 0,
                  "udpSourcePort": 59275,
                  "qosMap": null,
                  "mirror": null,
                  "idleSeconds": 4,
                  "generation": 1,
                  "evicted": false,
                  "fat": false,
                  "cookie": "0x6167656e74"
                }
                """)
    }

    @Test func octetsThatAreNoAddressAreShownAsSuch() {
        var flow = tcp
        flow.key.source = .init([1, 2, 3])
        #expect(FlowLayout.entry(flow).contains("invalid(010203):1136"))
    }

    @Test func controlCharactersDoNotReachTheTerminal() {
        var flow = tcp
        flow.tcpState = "S\u{1B}[2J"
        #expect(FlowLayout.entry(flow).contains("TCP:S?[2J,"))
    }
}

@Suite struct FlowCommandTests {
    private let flows: [API.Object.OneOf_Object] = [
        .flow(flow(1, 2, "10.0.0.1", 1000, "10.0.0.2", 80)), .flow(flow(2, 1, "10.0.0.2", 80, "10.0.0.1", 1000, forward: false)),
        .flow(flow(3, 4, "10.0.0.1", 53, "10.0.0.9", 53, proto: 17, vrf: 5)),
    ]

    @Test func listsEveryPage() async {
        let router = FakeRouter(flows, pageSize: 1)
        let run = await run(["flow", "-l"], router: router)
        #expect(run.code == 0)
        #expect(run.output.contains("        1<=>2 ") && run.output.contains("        2<=>1 ") && run.output.contains("        3<=>4 "))
        #expect(router.reads.isEmpty && router.flowFilters.withLock { $0 } == [Dataplane_V1_FlowFilter()])
    }

    @Test func listsAsOneJSONArrayOverPages() async throws {
        let run = await run(["flow", "-l", "-o", "json"], router: FakeRouter(flows, pageSize: 2))
        let json = try #require(JSON(parsing: run.output.utf8))
        #expect(json["flows"]?.array.map { $0["index"]?.unsigned } == [1, 2, 3])
        let empty = await vrctlTestsEmptyFlows()
        #expect(empty == "{\n  \"flows\": []\n}\n")
    }
    private func vrctlTestsEmptyFlows() async -> String { await run(["flow", "-l", "-o", "json"], router: FakeRouter()).output }

    @Test func matchFiltersAndNarrowsTheReading() async {
        let router = FakeRouter(flows)
        let run = await run(["flow", "--match", "10.0.0.9 & vrf 5"], router: router)
        #expect(run.output.contains("3<=>4") && !run.output.contains("1<=>2"))
        #expect(router.flowFilters.withLock { $0.count == 1 && $0[0].vrf == 5 && $0[0].endpoints.count == 1 })
    }

    @Test func getShowsTheReverseToo() async {
        let run = await run(["flow", "--get", "1"], router: FakeRouter(flows))
        #expect(run.code == 0)
        #expect(run.output.contains("1<=>2") && run.output.contains("2<=>1") && !run.output.contains("3<=>4"))
    }

    @Test func getOfWhatIsNotThere() async {
        let result = await run(["flow", "--get", "99"], router: FakeRouter(flows))
        #expect(result == Run(code: 1, output: "", errors: "flow: no flow at index 99; flow -l lists them\n"))
    }

    @Test func flushDeletesEveryKeyAndToleratesPairsThatAreGone() async {
        let router = FakeRouter(flows)
        let result = await run(["flow", "-F"], router: router)
        #expect(result == Run(code: 0, output: "Removed 3 flows\n", errors: ""))
        #expect(router.operations.map(\.delete.flow.sourcePort) == [1000, 80, 53])

        var notFound = API.Result()
        notFound.code = .notFound
        let gone = await run(["flow", "-F"], router: FakeRouter(flows, refusal: notFound))
        #expect(gone.output == "Removed 0 flows\n")
    }

    @Test func aRefusalIsQuotedAndEndsWithOne() async {
        var refusal = API.Result()
        refusal.code = .unsupported
        refusal.message = "flows are kept by workers only"
        let result = await run(["flow", "-d", "3"], router: FakeRouter(flows, refusal: refusal))
        #expect(result == Run(code: 1, output: "", errors: "flow: flow 3: flows are kept by workers only\n"))
    }

    @Test func forwardAndDropKeepKeyAndCookie() async {
        let router = FakeRouter(flows)
        _ = await run(["flow", "-d", "3"], router: router)
        #expect(router.operations.map(\.upsert.flow.action) == [.drop])
        #expect(router.operations.map(\.upsert.flow.key.vrf) == [5])
    }

    /// Dropped and set back, a flow is what it was: translated, marked, mirrored.
    @Test func forwardAndDropKeepWhatElseAFlowIs() async {
        var nat = API.Flow()
        nat.index = 7
        nat.key = flow(7, 8, "10.0.0.1", 1000, "10.0.0.2", 80).key
        nat.action = .nat
        nat.translation.source = octets("203.0.113.5")
        nat.translation.sourcePort = 61001
        nat.cookie = 9
        nat.qosMap = 3
        nat.mirror = 4
        let mirror = API.Object.OneOf_Object.mirror(.with { $0.id = 4 })
        func asked(_ option: String, _ current: API.Flow, _ others: [API.Object.OneOf_Object] = []) async -> API.Flow? {
            let router = FakeRouter([.flow(current)] + others)
            #expect(await run(["flow", option, "7"], router: router).code == 0)
            return router.operations.first?.upsert.flow
        }
        var wanted = nat
        wanted.index = 0
        #expect(await asked("-f", nat, [mirror]) == wanted)
        wanted.action = .drop
        wanted.clearTranslation()
        #expect(await asked("-d", nat, [mirror]) == wanted)
        // What a policy names need not be there; what is asked for must.
        wanted.mirror = 0
        #expect(await asked("-d", nat) == wanted)
        // The router knows what a flow that is dropped becomes.
        nat.action = .drop
        nat.clearTranslation()
        #expect(await asked("-f", nat)?.action == .forward)
    }

    @Test func ratesAreOfNewAndOfDeletedEntries() async {
        func status(_ used: UInt64, _ created: UInt64) -> API.Status {
            var status = API.Status()
            status.flows.entries = used
            status.flows.createdEntries = created
            status.flows.removedEntries = created - used
            status.flows.capacity = 1000
            return status
        }
        let result = await run(["flow", "-r", "--count", "3"], router: FakeRouter(statuses: [status(10, 10), status(110, 130), status(60, 131)]))
        #expect(
            result.output == """
                22:13:21 UTC: Entries =       10 Rate =        0 (Fwd =        0 Rev =        0 Del =        0) Hold =        0 Free =      990
                22:13:22 UTC: Entries =      110 Rate =      120 (Fwd =       60 Rev =       60 Del =       20) Hold =        0 Free =      890
                22:13:23 UTC: Entries =       60 Rate =        1 (Fwd =        1 Rev =        0 Del =       51) Hold =        0 Free =      940

                """)
    }

    @Test func statistics() async {
        var status = API.Status()
        status.flows.capacity = 8
        status.flows.entries = 3
        status.flows.limitDrops = 7
        let result = await run(["flow", "-s"], router: FakeRouter(flows, statuses: [status]))
        #expect(
            result.output == """
                Flow Statistics
                ---------------
                Entries             : 3 (forward 2, reverse 1)
                Packets             : 0
                Bytes               : 0
                Entries by action   : -
                Drop entries by     : -
                Entries by protocol : tcp 2, udp 1
                Entries by VRF      : 2: 2, 5: 1
                Entries by vif      : -

                Since the start
                ---------------
                Entries created     : 0
                Entries deleted     : 0
                Flows removed       : aged 0, closed 0, evicted 0, unanswered 0
                Packets without flow: over limit 7, over rate 0, over share 0
                Insertions          : table full 0, put off 0
                Packets held now    : 0
                Table               : 3 of 8 entries

                """)
    }

    @Test func theRouterIsAskedForWhatMatches() async throws {
        let filter = try FlowMatch("10.0.0.9:53 & vif vif0/3 & action d & reason SG").filter
        #expect(filter.vif == 3 && filter.action == .drop && filter.dropReason == "SG" && filter.endpoints.map(\.port) == [53])
        let router = FakeRouter(flows)
        _ = await run(["flow", "-l", "--show-evicted", "--match", "proto udp"], router: router)
        #expect(router.flowFilters.withLock { $0.map(\.evicted) } == [true])
        let some = await run(["flow", "-F", "--match", "vrf 5"], router: router)
        #expect(some.output == "Removed 1 flows\n" && router.operations.count == 1)
        for text in ["action x", "vif", "vif a", "reason", "action"] {
            #expect(await run(["flow", "--match", text], router: router).code == 2, "\(text)")
        }
    }
}
