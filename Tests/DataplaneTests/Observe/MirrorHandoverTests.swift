import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Mirrors where one worker receives what another sends.
@Suite struct MirrorHandoverTests {
    /// What the workers had handed to one another when they stopped is sent, and so are the copies that are made then. The port that is made first is the first worker's: frames for it come
    /// from the second, after the first's last turn.
    @Test(arguments: [false, true]) func copiesOfTheLastFramesAreSent(isFirstWorkersSink: Bool) throws {
        let total = 8
        let lab = try SequenceLab(total: total, flows: total, workers: 2, spread: false, idle: .poll)
        let ports = (isFirstWorkersSink ? ["sink", "source"] : ["source", "sink"]).map {
            RouterOperation.upsert(.port(PortSpec(name: $0, driver: .loopback, spread: $0 == "source" ? false : nil)))
        }
        let watch: [RouterOperation] = [
            .upsert(.port(PortSpec(name: "watch", driver: .loopback))),
            .upsert(.vif(VifSpec(id: .init(6), name: "watch", kind: .virtual, port: "watch", vrf: .init(1), mac: .gateway))),
            .upsert(.mirror(MirrorSpec(id: 1, sources: [.init(vif: .init(4), direction: .sent)], destination: .vif(.init(6))))),
        ]
        #expect(lab.router.apply(ports + lab.objects + watch).allSatisfy { $0 == .ok })
        lab.source.isOpen.store(true, ordering: .releasing)
        lab.router.run(turns: 1)
        let status = lab.router.status()
        #expect(lab.sink.count.load(ordering: .relaxed) == total && lab.sink.lanes.load(ordering: .relaxed) == (isFirstWorkersSink ? 1 : 2))
        #expect(status.totals.isBalanced && status.totals.handedOver >= UInt64(total), "\(status.totals)")
        #expect(status.totals.generated == UInt64(total) && status.totals.forwarded == UInt64(2 * total), "\(status.totals)")
        #expect(status.buffersInUse == 0)
        #expect(lab.router.mirrors(after: nil, limit: 1).map(\.copies) == [UInt64(total)])
    }
}
