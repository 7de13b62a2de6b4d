// swift-tools-version: 6.1
import PackageDescription

// Packet-rate benchmarks: a package of their own, so that the product depends on nothing that only measuring needs.

// As in the product's manifest: DPDK's own compiler flags are refused by SwiftPM's pkg-config reader.
#if arch(x86_64)
let dpdkMachine = ["-march=corei7"]
#else
let dpdkMachine: [String] = []
#endif
let dpdkFlags: [CSetting] = [
    .unsafeFlags(["-I/usr/include/dpdk", "-I/usr/include/x86_64-linux-gnu/dpdk", "-I/usr/include/aarch64-linux-gnu/dpdk"] + dpdkMachine)
]
let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "bench",
    products: [
        .executable(name: "vrbench", targets: ["vrbench"]),
        .executable(name: "vrbench-dpdk", targets: ["vrbench-dpdk"]),
        // Loaded by DPDK programs, ours and others, with EAL's `-d`.
        .library(name: "vrfeed", type: .dynamic, targets: ["CFeed"]),
    ],
    dependencies: [
        .package(name: "swift-vrouter", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        .target(name: "CBench", cSettings: [.define("_GNU_SOURCE")]),
        .target(
            name: "CFeed", dependencies: ["CBench"], cSettings: [.define("_GNU_SOURCE")] + dpdkFlags,
            linkerSettings: ["rte_eal", "rte_ethdev", "rte_mbuf"].map { .linkedLibrary($0) }),
        .target(name: "Workloads", dependencies: [.product(name: "Dataplane", package: "swift-vrouter")], swiftSettings: swift),
        .executableTarget(
            name: "vrbench",
            dependencies: [
                "CBench", "Workloads", .product(name: "Dataplane", package: "swift-vrouter"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: swift),
        .executableTarget(
            name: "vrbench-dpdk",
            dependencies: [
                "Workloads", .product(name: "Dataplane", package: "swift-vrouter"), .product(name: "DPDKPort", package: "swift-vrouter"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: swift),
    ],
    swiftLanguageModes: [.v6]
)
