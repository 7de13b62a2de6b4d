#!/bin/sh
# Regenerates Sources/DataplaneAPI/Generated from dataplane.proto. Needs protoc (Debian: protobuf-compiler); the two plugins are
# built from the package's own dependencies, so that generator and runtime library always have the same version.
#   scripts/generate-api.sh            regenerate
#   scripts/generate-api.sh --check    fail when the committed code is not what the proto gives
# PLUGINS=dir uses protoc-gen-swift and protoc-gen-grpc-swift-2 found in dir instead of building them.
set -eu
cd "$(dirname "$0")/.."
out=Sources/DataplaneAPI/Generated
check=no
case "${1:-}" in
    "") ;;
    --check) check=yes; out=$(mktemp -d); trap 'rm -rf "$out"' EXIT ;;
    *) sed -n '2,6s/^# *//p' "$0" >&2; exit 2 ;;
esac
if [ -z "${PLUGINS:-}" ]; then
    for product in protoc-gen-swift protoc-gen-grpc-swift-2; do swift build --scratch-path .build-tools --product "$product" >&2; done
    PLUGINS=$(swift build --scratch-path .build-tools --show-bin-path)
fi
protoc --proto_path=Sources/DataplaneAPI/Protos \
    --plugin="protoc-gen-swift=$PLUGINS/protoc-gen-swift" \
    --plugin="protoc-gen-grpc-swift=$PLUGINS/protoc-gen-grpc-swift-2" \
    --swift_out="$out" --swift_opt=Visibility=Public,UseAccessLevelOnImports=true,FileNaming=DropPath \
    --grpc-swift_out="$out" --grpc-swift_opt=Visibility=Public,UseAccessLevelOnImports=true,FileNaming=DropPath \
    dataplane/v1/dataplane.proto
if [ "$check" = yes ]; then diff -r Sources/DataplaneAPI/Generated "$out"; fi
