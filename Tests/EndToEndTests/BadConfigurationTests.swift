import Foundation
import Testing

extension EndToEnd {
    /// A configuration with a mistake starts nothing: the reason names file, line, column and field, and the exit code is 2.
    @Suite struct BadConfiguration {
        @Test(arguments: [
            ("buffers: {coun: 5}", ":3:11: ", "buffers.coun"),
            ("workers: several", ":3:10: ", "workers"),
            ("objects:\n  ports: [{name: a, pcapFile: {input: a.pcap, outptu: b.pcap}}]", ":4:47: ", "objects.ports[0].pcapFile.outptu"),
            ("objects:\n  routes: [{vrf: 1, prefix: 10.1.0.1/33, nextHop: 1}]", ":4:29: ", "objects.routes[0].prefix"),
            ("idle: [adaptive", ":4:1: ", "YAML"),
        ])
        func theReasonNamesThePlace(_ line: String, _ place: String, _ field: String) throws {
            let scratch = try TemporaryDirectory()
            try scratch.write("bad.yaml", "# A mistake in line 3 or 4.\napi: none\n\(line)\n")
            for check in [[], ["--check-config"]] {
                let outcome = try Shell.run([Place.program("vrouter"), "--config", "bad.yaml"] + check, directory: scratch.path)
                #expect(outcome.status == 2, "\(outcome.both)")
                #expect(outcome.output.isEmpty)
                #expect(outcome.errors.contains("bad.yaml\(place)") && outcome.errors.contains(field), "\(outcome.errors)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).filter { $0.hasSuffix(".pcap") }.isEmpty)
            }
        }
    }
}
