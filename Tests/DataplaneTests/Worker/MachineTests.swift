import Testing

@testable import Dataplane

@Suite struct MachineTests {
    @Test func coresAreReadAsTheKernelWritesThem() {
        #expect(Machine.list("0-3,8,10-11\n") == [0, 1, 2, 3, 8, 10, 11])
        #expect(Machine.list("0\n") == [0] && Machine.list("") == [] && Machine.list("3-1") == [] && Machine.list("0-99999999999") == [])
        #expect(Machine.text([8, 0, 1, 2, 3, 10]) == "0-3,8,10" && Machine.text([]) == "")
    }

    @Test func refusals() {
        let machine = Machine(present: [0, 1, 2, 8], permitted: [1, 2])
        #expect(machine.refusal(core: 1) == nil)
        #expect(machine.refusal(core: 0) == "core 0 is not permitted to this process (taskset, cpuset); permitted are 1-2")
        #expect(machine.refusal(core: 5) == "core 5 does not exist or is switched off; there are 0-2,8")
        // Where the kernel does not say which cores there are.
        #expect(Machine(present: [], permitted: [0]).refusal(core: 5) == "core 5 is not permitted to this process (taskset, cpuset); permitted are 0")
        #expect(Machine(present: [], permitted: []).refusal(core: 5) == nil)
    }

    /// The one that the test runs on: every core that it may use is there.
    @Test func thisMachine() {
        let machine = Machine.current
        #expect(!machine.permitted.isEmpty && machine.permitted.allSatisfy { machine.refusal(core: $0) == nil })
        #expect(machine.refusal(core: 1023) != nil)
    }

    /// A worker on a core that is not there runs all the same, and says so.
    @Test func aFailedPinIsReported() throws {
        let router = Router(RouterConfiguration(cores: [1023, nil], flowCapacity: 64), pool: try HeapBufferPool(capacity: 64)) {
            spec throws(PortError) in
            LoopbackPort(name: spec.name)
        }
        #expect(router.status().workers.map(\.pinError) == [nil, nil])
        router.start()
        let errors = router.status().workers.map(\.pinError)
        #expect(errors[0]?.hasPrefix("worker 0 could not be pinned to core 1023: ") == true && errors[1] == nil, "\(errors)")
        router.stop()
    }
}
