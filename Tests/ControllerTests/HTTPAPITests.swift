import Controller
import Overlay
import Testing

@Suite struct HTTPAPITests {
    @Test func configuresAndTells() async throws {
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            // A dry run stores nothing.
            var reply = try await controller.json("POST", "/v1/apply?dryRun=true", body: demo)
            #expect(reply.status == 200 && reply.value["results"]?.count == 7)
            #expect(try await controller.json("GET", "/v1/objects").value["objects"]?.count == 0)

            reply = try await controller.json("POST", "/v1/apply", body: demo)
            #expect(
                reply.value["results"]?[0]
                    == .map([.init("action", .string("created")), .init("kind", .string("ComputeNode")), .init("name", .string("node1"))]))
            reply = try await controller.json("POST", "/v1/apply", body: demo)
            #expect(reply.value["results"]?[0]?["action"] == .string("unchanged"))

            reply = try await controller.json("GET", "/v1/objects?kind=Port")
            #expect(reply.value["objects"]?.count == 3)
            let text = try await controller.http("GET", "/v1/objects/Port/blue1").body
            #expect(text.hasPrefix(#"{"kind":"Port","metadata":{"name":"blue1","uid":""#))
            #expect(
                text.hasSuffix(
                    #","generation":1},"spec":{"network":"blue","node":"node1","mac":"02:00:00:00:01:11","addresses":["10.1.0.11"],"interface":"tap-blue1"}}"#
                        + "\n"))

            reply = try await controller.json("POST", "/v1/diff", body: demo.replacing("10.1.0.13]", with: "10.1.0.14, 10.1.0.15]"))
            #expect(
                reply.value["diffs"]?[5]
                    == .map([
                        .init("action", .string("updated")),
                        .init(
                            "changes",
                            .list([
                                .map([
                                    .init("field", .string("spec.addresses[0]")), .init("from", .string("10.1.0.13")),
                                    .init("to", .string("10.1.0.14")),
                                ]),
                                .map([.init("field", .string("spec.addresses[1]")), .init("to", .string("10.1.0.15"))]),
                            ])), .init("kind", .string("Port")), .init("name", .string("blue3")),
                    ]))

            #expect(try await controller.json("DELETE", "/v1/objects/VirtualNetwork/blue").status == 409)
            #expect(try await controller.json("DELETE", "/v1/objects/Port/blue%31").status == 200)
            #expect(try await controller.json("DELETE", "/v1/objects/Port/blue1").status == 404)
            // All or none: blue has a port that stays.
            let both = #"[{"kind":"VirtualNetwork","name":"grey"},{"kind":"VirtualNetwork","name":"blue"}]"#
            _ = try await controller.json(
                "POST", "/v1/apply", body: "kind: VirtualNetwork\nmetadata: {name: grey}\nspec: {subnets: [{prefix: 10.9.0.0/24}]}\n")
            #expect(try await controller.json("POST", "/v1/delete", body: both).status == 409)
            #expect(try await controller.json("GET", "/v1/objects/VirtualNetwork/grey").status == 200)
            reply = try await controller.json("POST", "/v1/delete", body: #"[{"kind":"VirtualNetwork","name":"grey"}]"#)
            #expect(reply.status == 200 && reply.value["results"]?[0]?["action"] == .string("deleted"))
            #expect(try await controller.json("GET", "/v1/objects/VirtualNetwork/grey").status == 404)
            #expect(try await controller.json("POST", "/v1/delete", body: #"[{"kind":"Prt","name":"x"}]"#).status == 404)
            #expect(try await controller.json("POST", "/v1/delete", body: #"[{"name":"x"}]"#).status == 422)
            reply = try await controller.json("GET", "/v1/objects/Prt/blue1")
            #expect(
                reply.status == 404
                    && reply.value["error"]?["message"]
                        == .string(
                            "there is no kind 'Prt'; the kinds are ComputeNode, NetworkPolicy, VirtualNetwork, SecurityGroup, Namespace, KubernetesNetworkPolicy, Port, Router, Service, FloatingIP, LinkLocalService"
                        )
            )

            reply = try await controller.json("GET", "/v1/status")
            #expect(reply.value["version"] == .string("test") && reply.value["objects"]?["Port"] == .integer(2) && reply.value["agents"]?.count == 0)
        }
    }

    @Test func errorsNameTheLineAndStoreNothing() async throws {
        let directory = try TemporaryDirectory()
        try await RunningController.with(store: directory.path + "/c.sqlite") { controller in
            let reply = try await controller.http(
                "POST", "/v1/apply", body: demo.replacing("tap-blue1", with: "a/b"), headers: ["X-Source-Name": "net.yaml"])
            #expect(reply.status == 422)
            #expect(
                reply.body
                    == #"{"error":{"message":"'a/b' is not an interface name: 1 to 15 characters, without spaces, '/' and ':'","source":"net.yaml","line":19,"column":97,"document":5,"field":"spec.interface"}}"#
                    + "\n")
            #expect(try await controller.json("GET", "/v1/status").value["objects"]?["ComputeNode"] == .integer(0))
            #expect(try await controller.json("POST", "/v1/apply?dryRun=maybe", body: demo).status == 400)
            #expect(try await controller.json("GET", "/v1/objects?kind=port").status == 404)
            #expect(try await controller.http("GET", "/v3").status == 404)
        }
    }
}
