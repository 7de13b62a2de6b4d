import Foundation
import Testing

extension EndToEnd {
    /// What docs/quickstart.md tells a reader to type: the `sh` blocks that begin with `# ci`, in order, as they stand.
    @Suite struct Walkthrough {
        @Test func theQuickStartRunsAsWritten() throws {
            try Place.checkRequirements()
            let blocks = Self.blocks(in: textOfFile(Place.repository + "/docs/quickstart.md"))
            #expect(blocks.count >= 3, "docs/quickstart.md has \(blocks.count) blocks marked `# ci`")
            // Namespaces of our own, so that a demo somebody is looking at stays; and no build: SwiftPM, which runs us, holds its folder.
            let environment = ["LAB": "e2e-walk", "LAB_BIN": Place.binaries, "VROUTER_BIN": Place.binaries]
            defer { _ = try? Shell.run(["scripts/demo.sh", "--down"], environment: environment) }
            for block in blocks {
                let outcome = try Shell.run(["bash", "-e", "-o", "pipefail", "-c", block], environment: environment, limit: 540)
                #expect(outcome.status == 0, "\(block)\n\(outcome.both.suffix(4000))")
                if outcome.status != 0 { break }
            }
            #expect(try !Shell.succeed(["ip", "netns", "list"]).contains("e2e-walk-"), "the quick start leaves namespaces behind")
        }

        static func blocks(in text: String) -> [String] {
            text.matches(of: /(?m)^```sh\n# ci\n((?:(?!```).*\n)+)```/).map { String($0.1) }
        }

        @Test func onlyMarkedBlocksAreTaken() {
            let text = "a\n```sh\n# ci\none\ntwo\n```\n```sh\nnot this\n```\n```yaml\n# ci\nnor this\n```\n```sh\n# ci\nthree\n```\n"
            #expect(Self.blocks(in: text) == ["one\ntwo\n", "three\n"])
        }
    }
}
