import DataplaneAPI
import Foundation
import SwiftProtobuf
import Synchronization
import Testing

@testable import vrctl

@Suite struct InspectTests {
    private static let packet = API.DroppedPacket.with {
        $0.worker = 1
        $0.number = 7
        $0.timeNs = 1_700_000_000_123_456_789
        $0.reason = "no_route"
        $0.label = "No Route"
        $0.stage = "Lookup"
        $0.line = 64
        $0.vif = 3
        $0.vrf = 1
        $0.source = octets("10.1.0.11")
        $0.destination = octets("10.9.9.9")
        $0.protocol = 17
        $0.sourcePort = 3333
        $0.destinationPort = 4444
        $0.etherType = 0x0800
        $0.length = 45
    }
    private static let frame = API.CapturedFrame.with {
        $0.timeNs = 1_700_000_000_123_456_789
        $0.vif = 3
        $0.length = 60
        $0.octets = Data(
            [
                2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 11, 10, 1, 0, 12, 0, 53, 0x10, 0, 0, 8,
                0, 0,
            ])
    }

    @Test func dropLogInTheClassicOrder() async {
        let router = FakeRouter()
        router.dropped.withLock { $0 = [Self.packet] }
        let result = await run(["dropstats", "--log"], router: router)
        #expect(result.code == 0 && result.errors.isEmpty)
        #expect(result.output.hasPrefix("Pkt Drop Log\n\nsl no: 1  Epoch Time: 1700000000  Local Time: "))
        #expect(
            result.output.hasSuffix(
                "  Packet Type: IPv4  Drop reason: No Route  Vif idx: 3  Vrf: 1  Src IP: 10.1.0.11  Dst IP: 10.9.9.9  Proto: udp"
                    + "  Source port: 3333  Dest port: 4444  file: Lookup  line no: 64  Packet Len: 45\n"))
        #expect(await run(["dropstats", "--log", "0"], router: router).output == "Pkt Drop Log for Core 0\n\n")
        let json = JSON(parsing: await run(["vrctl", "dropstats", "--log", "-o", "json"], router: router).output.utf8)
        let first = json?["packets"]?.array.first
        #expect(first?["source"]?.text == "10.1.0.11" && first?["time"]?.text == "2023-11-14T22:13:20.123456Z" && first?["nextHop"] == .null)
    }

    @Test func dropLogOptions() async {
        let router = FakeRouter()
        #expect(await run(["dropstats", "--clear-drop-log"], router: router).code == 0)
        #expect(router.dropLogClears.withLock { $0 } == 1)
        for wrong in [
            ["--log", "--clear"], ["--follow"], ["3"], ["--log", "1", "--core", "2"], ["--clear", "--core", "0"],
            ["--clear-drop-log", "--core", "0"],
        ] {
            #expect(await run(["dropstats"] + wrong, router: router).code == 2, "\(wrong)")
        }
        #expect(router.dropLogClears.withLock { $0 } == 1 && router.cleared.isEmpty)
    }

    @Test func pcapOctets() {
        // Nanosecond magic, version 2.4, link type 1; a record of 42 of 60 octets at 1700000000.123456789.
        #expect(
            CaptureFormat.pcapHeader(snapLength: 96) == [0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 96, 0, 0, 0, 1, 0, 0, 0])
        let record = CaptureFormat.pcapRecord(Self.frame)
        #expect(record.prefix(16) == [0x00, 0xF1, 0x53, 0x65, 0x15, 0xCD, 0x5B, 0x07, 42, 0, 0, 0, 60, 0, 0, 0])
        #expect(record.count == 16 + 42)
    }

    @Test func captureLines() async {
        let router = FakeRouter()
        router.captured.withLock { $0 = [Self.frame] }
        let result = await run(["vifdump", "-i", "vif0/3", "-c", "1", "-Q", "in", "-s", "96", "--plain", "udp", "port", "53"], router: router)
        #expect(result.code == 0)
        #expect(result.output.hasSuffix(" vif0/3 In  02:00:00:00:00:02 > 02:00:00:00:00:01 IPv4 10.1.0.11.53 > 10.1.0.12.4096 udp length 60\n"))
        let request = router.captureRequests.withLock { $0.first }
        #expect(request?.vif == 3 && request?.limit == 1 && request?.direction == .received && request?.snapLength == 96)
        #expect(request?.filter == "udp port 53")
        for wrong in [["-i", "eth0"], ["-i", "3", "-Q", "up"], []] { #expect(await run(["vifdump"] + wrong, router: router).code == 2, "\(wrong)") }
    }

    /// Each shows frames in a way that the other does not.
    @Test func captureOptionsThatContradict() async {
        let router = FakeRouter(), file = ["-w", "/nonexistent/capture.pcap"]
        for wrong in [
            file + ["-o", "json"], file + ["--plain"], file + ["-e"], file + ["-v"], file + ["-x"], ["--plain", "-o", "json"], ["--plain", "-x"],
            ["-o", "json", "-v"],
        ] {
            let result = await run(["vifdump", "-i", "3"] + wrong, router: router)
            #expect(result.code == 2 && result.errors.contains("leave") || result.errors.contains("give one of"), "\(wrong): \(result)")
        }
        #expect(await run(["vifdump", "-i", "3"] + file, router: router).code == 1)
        #expect(router.captureRequests.withLock { $0.isEmpty })
    }

    @Test func anyFrameHasALine() {
        let whole = Array(Self.frame.octets)
        for length in 0...whole.count { _ = FrameText(Array(whole.prefix(length))).text }
        #expect(FrameText([]).text == "? > ? [cut]")
    }

    @Test func mirrorsAreMadeAndShown() async {
        let router = FakeRouter([
            .mirror(
                .with {
                    $0.id = 2
                    $0.sources = [
                        .with {
                            $0.vif = 3
                            $0.direction = .received
                        }
                    ]
                    $0.erspan.nextHop = 20
                    $0.erspan.session = 5
                    $0.copies = 9
                })
        ])
        #expect(
            await run(["mirror", "--dump"], router: router).output == """
                Mirror Table

                Index   Sources     Destination   NextHop   VNI/Session   Snap   Copies   Lost
                2       vif0/3:in   ERSPAN        20        5             all    9        0

                """)
        #expect(
            await run(["mirror", "--create", "1", "--vif", "vif0/3", "--vif", "4:out", "--to-vxlan", "20:7000", "--snap", "64"], router: router).code
                == 0)
        let made = router.operations.last?.upsert.mirror
        #expect(made?.id == 1 && made?.sources.map(\.vif) == [3, 4] && made?.sources.map(\.direction) == [.both, .sent])
        #expect(made?.vxlan.nextHop == 20 && made?.vxlan.vni == 7000 && made?.snapLength == 64)
        for wrong in [
            ["--create", "1"], ["--create", "1", "--vif", "3"], ["--create", "1", "--vif", "x", "--to-vif", "1"], ["--dump", "--delete", "1"],
            ["--dump", "--vif", "3"], ["--dump", "--snap", "9"], ["--get", "2", "--to-vif", "4"], ["--delete", "2", "--to-file", "f"],
            ["--delete", "2", "--max-files", "2"], ["--create", "1", "--vif", "3", "--to-vif", "4", "--max-size", "9"],
            ["--create", "1", "--vif", "3", "--to-erspan", "2:5", "--max-files", "1"],
            ["--create", "1", "--vif", "3", "--to-file", "f", "--max-files", "2"],
        ] {
            #expect(await run(["mirror"] + wrong, router: router).code == 2, "\(wrong)")
        }
        #expect(router.operations.count == 1)
        _ = await run(["mirror", "--create", "1", "--vif", "3", "--to-file", "f", "--max-size", "10", "--max-files", "2"], router: router)
        #expect(router.operations.last?.upsert.mirror.file.maximumSize == 10 && router.operations.last?.upsert.mirror.file.maximumFiles == 2)
        _ = await run(["mirror", "--create", "1", "--vif", "3", "--to-file", "f"], router: router)
        #expect(router.operations.last?.upsert.mirror.file.maximumSize == 0 && router.operations.last?.upsert.mirror.file.maximumFiles == 1)
    }

    @Test func tablesAndWorkers() async {
        let status = API.Status.with {
            $0.tscHz = 1_000_000_000
            $0.uptimeNs = 10_000_000_000
            $0.tables = [
                .with {
                    $0.name = "vif"
                    $0.used = 3
                    $0.capacity = 4
                    $0.memoryBytes = 2048
                },
                .with {
                    $0.name = "route"
                    $0.used = 5
                },
            ]
            $0.workers = [
                .with {
                    $0.core = 2
                    $0.counters.received = 1000
                    $0.counters.dropped = 10
                    $0.busyCycles = 100_000
                    $0.bursts = 100
                }
            ]
        }
        let router = FakeRouter(statuses: [status])
        #expect(await run(["vrctl", "workers"], router: router).output.hasSuffix("\nQueues stay where they are: there is one worker\n"))
        #expect(
            await run(["vrctl", "tables"], router: router).output == """
                Table   Used   Capacity   Use      Memory
                vif     3      4          75.0 %   2.0 KiB
                route   5      memory     -        0.0 KiB

                """)
        let rows = WorkerRow.rows(status, earlier: nil)
        #expect(rows.first?.cyclesPerPacket == 100 && rows.first?.packetsPerBurst == 10 && rows.first?.packetsPerSecond == 100)
        #expect(await run(["vrctl", "workers", "--total"], router: router).output.contains("100.0"))
    }

    private func status(seconds: UInt64, packets: UInt64, cycles: UInt64) -> API.Status {
        .with {
            $0.tscHz = 1_000_000_000
            $0.instance = "i"
            $0.uptimeNs = seconds * 1_000_000_000
            $0.workers = [
                .with {
                    $0.core = 0
                    $0.queues = [
                        .with {
                            $0.port = "uplink"
                            $0.queue = 1
                            $0.packets = packets
                            $0.cycles = cycles
                            $0.isFixed = true
                        }
                    ]
                },
                .with {
                    $0.id = 1
                    $0.core = 1
                    $0.pinError = "worker 1 could not be pinned to core 1: Invalid argument; it runs on any core"
                    $0.queues = [
                        .with {
                            $0.port = "fabric"
                            $0.packets = 7
                            $0.isSpread = true
                        }
                    ]
                },
            ]
            $0.rebalancing = .with {
                $0.intervalS = 10
                $0.moves = 3
                $0.latest = [
                    .with {
                        $0.port = "uplink"
                        $0.queue = 1
                        $0.fromWorker = 1
                        $0.uptimeNs = 90_000_000_000
                    }
                ]
            }
        }
    }

    @Test func queuesOfWorkers() async {
        let statuses = [status(seconds: 100, packets: 1000, cycles: 5000), status(seconds: 102, packets: 5000, cycles: 1_000_005_000)]
        let text = await run(["vrctl", "workers"], router: FakeRouter(statuses: statuses)).output
        #expect(
            text.contains(
                """
                Port     Queue   Worker   Packets/s   Of its worker's time   Cycles/packet   Packets   Remarks
                fabric   0       1        0           0.0 %                  -               7         spread over all workers
                uplink   1       0        2000        50.0 %                 250000.0        5000      assigned

                Queues follow the load: looked at every 10 s, 3 moved; last 12 s ago, uplink queue 1 from worker 1 to 0
                worker 1 could not be pinned to core 1: Invalid argument; it runs on any core

                """), "\(text)")
        let json = JSON(parsing: await run(["vrctl", "workers", "-o", "json"], router: FakeRouter(statuses: statuses)).output.utf8)
        #expect(json?["queues"]?.array.last?["sharePercent"]?.text == "50" && json?["queues"]?.array.first?["isSpread"] == true)
        #expect(json?["rebalancing"]?["moves"] == .integer(3) && json?["workers"]?.array.count == 2)
    }

    @Test func queuesAreAssigned() async {
        let router = FakeRouter()
        #expect(await run(["vrctl", "workers", "assign", "uplink", "1", "0"], router: router).output == "port uplink queue 1: worker 0\n")
        #expect(
            await run(["vrctl", "workers", "assign", "uplink", "1", "auto"], router: router).output == "port uplink queue 1: moves with its load\n")
        #expect(router.assignments.withLock { $0 } == ["uplink 1 0", "uplink 1 auto"])
        for wrong in [["uplink", "1", "-1"], ["uplink", "1", "all"], ["uplink", "x", "0"], ["uplink", "1"]] {
            #expect(await run(["vrctl", "workers", "assign"] + wrong, router: router).code == 2, "\(wrong)")
        }
        let refusal = API.Result.with {
            $0.code = .notFound
            $0.message = "worker 9: does not exist; there are 2"
        }
        let refused = await run(["vrctl", "workers", "assign", "uplink", "1", "9"], router: FakeRouter(refusal: refusal))
        #expect(refused.code == 1 && refused.errors.hasSuffix("worker 9: does not exist; there are 2\n"))
    }

    /// Frames between two workers are not lost to the sum.
    @Test func countersAddUpWithFramesUnderWay() {
        var status = API.Status()
        status.totals.received = 10
        status.totals.forwarded = 7
        status.workers = [.with { $0.handedOver = 5 }, .with { $0.takenOver = 2 }]
        #expect(RouterSection(status: status).isBalanced && RouterSection(status: status).lines[1].contains("under way 3"))
        status.workers[1].takenOver = 1
        #expect(!RouterSection(status: status).isBalanced)
        status.workers[1].pinError = "worker 1 could not be pinned"
        #expect(RouterSection(status: status).problems == ["packet counters do not add up", "worker 1 could not be pinned"])
    }
}
