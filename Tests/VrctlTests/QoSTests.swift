import DataplaneAPI
import Testing

@testable import vrctl

@Suite struct QoSTests {
    private var router: FakeRouter {
        FakeRouter([
            .forwardingClass(
                .with {
                    $0.id = 5; $0.dscp = 34; $0.trafficClass = 6
                }),
            .qosMap(
                .with {
                    $0.id = 9; $0.dscp = [46: 5, 0: 5]; $0.trafficClass = [3: 5]; $0.cookie = 1
                }),
        ])
    }

    @Test func classes() async {
        #expect(
            await run(["forwarding-class", "--dump"], router: router).output == """
                Forwarding Class Map

                 FC    DSCP   EXP
                -----------------
                  5      34     6

                """)
        #expect(
            await run(["forwarding-class", "--get", "6"], router: router)
                == Run(code: 1, output: "", errors: "forwarding-class: no forwarding class 6; forwarding-class --dump lists them\n"))
    }

    @Test func maps() async {
        #expect(
            await run(["qosmap", "--get", "9"], router: router).output == """
                QOS Map

                Id: 9
                    DSCP    FC
                       0     5
                      46     5
                     EXP    FC
                       3     5


                """)
    }

    @Test func json() async {
        let output = await run(["qosmap", "--dump", "-o", "json"], router: router).output
        #expect(output.contains("\"qosMaps\"") && output.contains("\"from\": 46") && output.contains("\"class\": 5"))
        #expect(await run(["forwarding-class", "--dump", "-o", "json"], router: router).output.contains("\"trafficClass\": 6"))
    }
}
