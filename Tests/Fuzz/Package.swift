// swift-tools-version: 6.1
import PackageDescription

// Fuzzing: the modules that read octets from outside, compiled once more with libFuzzer's coverage and AddressSanitizer, and one program that feeds them.
// A package of its own, so that nothing of this is in the product; the modules are the same sources, by links. `./run fuzz` builds and runs it.
let instrumented = ["-sanitize=fuzzer,address", "-parse-as-library", "-enable-testing"]
let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(instrumented),
]

let package = Package(
    name: "fuzz",
    dependencies: [
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"), .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: [
        .target(
            name: "CPlatform", path: "CSupport/CPlatform", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-fsanitize=fuzzer-no-link,address"])]),
        .systemLibrary(name: "CExpat", path: "CSupport/CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        .target(name: "NetTypes", swiftSettings: swift),
        .target(name: "Dataplane", dependencies: ["CPlatform", "NetTypes"], swiftSettings: swift),
        .target(name: "XMPP", dependencies: ["CExpat"], swiftSettings: swift),
        .target(name: "StrictYAML", dependencies: ["NetTypes", .product(name: "Yams", package: "Yams")], swiftSettings: swift),
        .target(name: "Overlay", dependencies: ["NetTypes", "StrictYAML", "XMPP"], swiftSettings: swift),
        // Without DPDK: what checks its arguments. Without gRPC: the messages, and what reads and writes them.
        .target(name: "DPDKPort", dependencies: ["Dataplane"], swiftSettings: swift),
        .target(
            name: "DataplaneAPI", dependencies: ["NetTypes", .product(name: "SwiftProtobuf", package: "swift-protobuf")], swiftSettings: swift),
        .target(
            name: "DataplaneService",
            dependencies: [
                "Dataplane", "DataplaneAPI", "DPDKPort", "NetTypes", "StrictYAML", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: swift),
        // Without sockets: what the agent makes of what a workload asks.
        .target(name: "AgentServices", dependencies: ["NetTypes", "Overlay"], swiftSettings: swift),
        .systemLibrary(name: "CFuzzer"),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "AgentServices", "CFuzzer", "CPlatform", "Dataplane", "DataplaneAPI", "DataplaneService", "NetTypes", "Overlay", "StrictYAML", "XMPP",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ], swiftSettings: swift,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
    ],
    swiftLanguageModes: [.v6]
)
