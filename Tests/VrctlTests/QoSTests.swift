import DataplaneAPI
import Testing

@testable import vrctl

@Suite struct QoSTests {
    private var router: FakeRouter {
        var forwardingClass = Dataplane_V1_ForwardingClass(), map = Dataplane_V1_QosMap()
        forwardingClass.id = 5
        forwardingClass.dscp = 34
        forwardingClass.trafficClass = 6
        forwardingClass.vlanPriority = 3
        map.id = 9
        map.dscp = [46: 5, 0: 5]
        map.trafficClass = [3: 5]
        map.vlanPriority = [7: 5]
        map.cookie = 1
        return FakeRouter([.forwardingClass(forwardingClass), .qosMap(map)])
    }

    @Test func classes() async {
        #expect(
            await run(["vrctl", "forwarding-class", "--dump"], router: router).output == """
                Forwarding Class Map

                 FC    DSCP   EXP   802.1p
                --------------------------
                  5      34     6        3

                """)
        #expect(
            await run(["vrctl", "forwarding-class", "--get", "6"], router: router)
                == Run(code: 1, output: "", errors: "vrctl: no forwarding class 6; vrctl forwarding-class --dump lists them\n"))
    }

    @Test func maps() async {
        #expect(
            await run(["vrctl", "qosmap", "--get", "9"], router: router).output == """
                QOS Map

                Id: 9
                    DSCP    FC
                       0     5
                      46     5
                     EXP    FC
                       3     5
                  802.1p    FC
                       7     5


                """)
    }

    @Test func json() async {
        let output = await run(["vrctl", "qosmap", "--dump", "-o", "json"], router: router).output
        #expect(
            output.contains("\"qosMaps\"") && output.contains("\"from\": 46") && output.contains("\"class\": 5")
                && output.contains("\"vlanPriority\": [\n"))
        #expect(await run(["vrctl", "forwarding-class", "--dump", "-o", "json"], router: router).output.contains("\"vlanPriority\": 3"))
    }
}
