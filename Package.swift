// swift-tools-version: 6.1
import Foundation
import PackageDescription

// DPDK ships its own compiler flags that SwiftPM's pkg-config reader refuses (multi-line description, -include, -march),
// so they are written out here, for the one C target that sees a DPDK header. -I paths that do not exist are harmless.
// The drivers are not linked: EAL loads them from the plugin directory of the distribution.
#if arch(x86_64)
let dpdkMachine = ["-march=corei7"]
#else
let dpdkMachine: [String] = []
#endif
let dpdkFlags: [CSetting] = [
    .define("VR_DPDK", .when(traits: ["DPDK"])),
    .unsafeFlags(
        ["-I/usr/include/dpdk", "-I/usr/include/x86_64-linux-gnu/dpdk", "-I/usr/include/aarch64-linux-gnu/dpdk"] + dpdkMachine,
        .when(traits: ["DPDK"])),
]
let dpdkLibraries: [LinkerSetting] = [
    "rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool",
].map { .linkedLibrary($0, .when(traits: ["DPDK"])) }

// Tests run in release, like the product, and reach internal declarations. Only our own modules are built with this, so the
// dependencies are compiled once.
let testable: [SwiftSetting] =
    ProcessInfo.processInfo.environment["VROUTER_TESTABLE"] == nil ? [] : [.unsafeFlags(["-enable-testing"])]

let swift: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .define("DPDK", .when(traits: ["DPDK"])),
    ] + testable

// The packet path is compiled for processors of level x86-64-v3 (AVX2, BMI2, MOVBE: Intel since 2013, AMD since 2015); VROUTER_CPU names another, as clang's
// -march does: x86-64-v2, native. Of it depends what one packet costs, by 4 %. vrouter asks the processor when it starts.
#if arch(x86_64)
let processor = ProcessInfo.processInfo.environment["VROUTER_CPU"] ?? "x86-64-v3"
let packetPath = swift + [.unsafeFlags(["-Xcc", "-march=\(processor)"])]
#else
let processor = ""
let packetPath = swift
#endif

#if os(Linux)
let defaultTraits: Set<String> = ["DPDK"]
#else
let defaultTraits: Set<String> = []
#endif

let package = Package(
    name: "swift-vrouter",
    products: [
        .executable(name: "vrouter", targets: ["vrouter"]),
        .executable(name: "vrouter-agent", targets: ["vrouter-agent"]),
        .executable(name: "vrouter-controller", targets: ["vrouter-controller"]),
        .executable(name: "vrctl", targets: ["vrctl"]),
        .library(name: "Dataplane", targets: ["Dataplane", "NetTypes", "CPlatform"]),
        .library(name: "DPDKPort", targets: ["DPDKPort"]),
    ],
    traits: [
        .trait(name: "DPDK", description: "DPDK ports (needs libdpdk-dev); without it the router has libpcap ports only."),
        .default(enabledTraits: defaultTraits),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.0"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: [
        // C: only what a vendor header or an instruction forces.
        .target(
            name: "CPlatform", path: "CSupport/CPlatform",
            cSettings: [.define("_GNU_SOURCE"), .define("VR_PROCESSOR", to: "\"\(processor)\"")]),
        .target(
            name: "CPcap", dependencies: ["CPlatform"], path: "CSupport/CPcap", cSettings: [.define("_GNU_SOURCE")],
            linkerSettings: [.linkedLibrary("pcap")]),
        .target(
            name: "CDPDK", dependencies: ["CPlatform"], path: "CSupport/CDPDK",
            cSettings: [.define("_GNU_SOURCE")] + dpdkFlags, linkerSettings: dpdkLibraries),
        // For tests: counts allocations and references.
        .target(name: "CRuntimeCounters", path: "CSupport/CRuntimeCounters", cSettings: [.define("_GNU_SOURCE")]),
        .systemLibrary(name: "CExpat", path: "CSupport/CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),

        .target(name: "NetTypes", swiftSettings: swift),
        .target(name: "StrictYAML", dependencies: ["NetTypes", .product(name: "Yams", package: "Yams")], swiftSettings: swift),

        // The packet path.
        .target(name: "Dataplane", dependencies: ["CPlatform", "NetTypes"], swiftSettings: packetPath),
        .target(name: "PcapPort", dependencies: ["CPcap", "CPlatform", "Dataplane"], swiftSettings: packetPath),
        .target(name: "DPDKPort", dependencies: ["CDPDK", "CPcap", "CPlatform", "Dataplane"], swiftSettings: packetPath),

        // The programming API between vrouter and its agent, and any other program.
        .target(
            name: "DataplaneAPI",
            dependencies: [
                "NetTypes",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
            ], exclude: ["Protos"], swiftSettings: swift),
        .target(
            name: "DataplaneService",
            dependencies: [
                "Dataplane", "DataplaneAPI", "PcapPort", .target(name: "DPDKPort"), "NetTypes", "StrictYAML",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),

        // Control plane.
        .target(
            name: "XMPP",
            dependencies: [
                "CExpat",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .target(name: "Overlay", dependencies: ["NetTypes", "StrictYAML", "XMPP"], swiftSettings: swift),
        .target(
            name: "Controller",
            dependencies: [
                "NetTypes", "Overlay", "StrictYAML", "XMPP",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .target(
            name: "Agent",
            dependencies: [
                "NetTypes", "Overlay", "StrictYAML", "XMPP", "DataplaneAPI",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),

        // Executables.
        .target(
            name: "Daemon",
            dependencies: [
                .product(name: "ArgumentParser", package: "swift-argument-parser"), .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .executableTarget(
            name: "vrouter",
            dependencies: [
                "CPlatform", "Daemon", "DataplaneService", "Dataplane", "NetTypes", "StrictYAML",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .executableTarget(
            name: "vrouter-agent",
            dependencies: [
                "Agent", "Daemon", "NetTypes", "StrictYAML",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .executableTarget(
            name: "vrouter-controller",
            dependencies: [
                "Controller", "Daemon", "NetTypes", "StrictYAML",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .executableTarget(
            name: "vrctl",
            dependencies: [
                "DataplaneAPI", "NetTypes", "StrictYAML",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Yams", package: "Yams"),
            ], swiftSettings: swift),

        .testTarget(name: "NetTypesTests", dependencies: ["NetTypes"], swiftSettings: swift),
        .testTarget(name: "StrictYAMLTests", dependencies: ["StrictYAML", "NetTypes"], swiftSettings: swift),
        .testTarget(name: "DataplaneTests", dependencies: ["CPlatform", "Dataplane", "NetTypes"], swiftSettings: swift),
        .testTarget(name: "BudgetTests", dependencies: ["CRuntimeCounters", "Dataplane", "NetTypes"], swiftSettings: swift),
        .testTarget(name: "PcapPortTests", dependencies: ["PcapPort", "CPlatform", "Dataplane"], swiftSettings: swift),
        .testTarget(name: "DPDKPortTests", dependencies: ["DPDKPort", "CPlatform", "Dataplane"], swiftSettings: swift),
        .testTarget(
            name: "DataplaneServiceTests",
            dependencies: [
                "DataplaneService", "DataplaneAPI", "Dataplane", "NetTypes", "StrictYAML", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
            ], swiftSettings: swift),
        .testTarget(
            name: "XMPPTests", dependencies: ["XMPP", .product(name: "NIOEmbedded", package: "swift-nio")], swiftSettings: swift),
        .testTarget(name: "OverlayTests", dependencies: ["Overlay", "NetTypes", "StrictYAML", "XMPP"], swiftSettings: swift),
        .testTarget(
            name: "ControllerTests",
            dependencies: [
                "Controller", "NetTypes", "Overlay", "StrictYAML", "XMPP", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "Controller", "CPlatform", "Dataplane", "DataplaneService", "Overlay", "DataplaneAPI", "StrictYAML", "XMPP", "NetTypes",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: swift),
        .testTarget(
            name: "VrctlTests",
            dependencies: ["vrctl", "DataplaneAPI", "NetTypes", .product(name: "SwiftProtobuf", package: "swift-protobuf")], swiftSettings: swift),
        .testTarget(name: "EndToEndTests", exclude: ["Inputs"], swiftSettings: swift),
    ],
    swiftLanguageModes: [.v6]
)
