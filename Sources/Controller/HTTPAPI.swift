import Foundation
public import Hummingbird
public import Logging
import NIOCore
import Overlay
import StrictYAML

/// The controller's HTTP/JSON interface, for `vrctl` and whatever else configures networks.
///
///     POST   /v1/apply?dryRun=true|false   YAML (header X-Source-Name: its file's name) → what was done to each object
///     POST   /v1/diff                      YAML → what would change
///     GET    /v1/objects?kind=Port         objects, in the shape of their YAML
///     GET    /v1/objects/{kind}/{name}
///     DELETE /v1/objects/{kind}/{name}
///     POST   /v1/delete                   a JSON list of {kind, name}: all of them, or none
///     GET    /v1/status
///     GET    /v1/routes?vrf=blue
///
/// Every error is `{"error":{"message":…}}`; one about a text has `source`, `line`, `column`, `document` and `field` too, where they are
/// known. 422: the configuration is wrong; 404: no such object; 409: it is in use; 500: the store failed.
///
/// There is no authentication: whoever reaches the address may configure. It listens on loopback unless told otherwise.
public enum HTTPAPI {
    /// Octets of YAML in one request.
    static let maximumBody = 32 << 20

    public static func router(_ control: ControlPlane, version: String, logger: Logger) -> Router<BasicRequestContext> {
        let router = Router(context: BasicRequestContext.self)
        router.post("/v1/apply") { request, _ in
            try await answer(logger) {
                let dryRun = try flag("dryRun", request)
                let (text, source) = try await body(request)
                let changes = try await control.apply(text: text, source: source, dryRun: dryRun)
                return .map([
                    .init(
                        "results",
                        .list(
                            changes.map {
                                .map([
                                    .init("kind", .string($0.key.kind.rawValue)), .init("name", .string($0.key.name)),
                                    .init("action", .string($0.action.rawValue)),
                                ])
                            }))
                ])
            }
        }
        router.post("/v1/diff") { request, _ in
            try await answer(logger) {
                let (text, source) = try await body(request)
                let changes = try await control.apply(text: text, source: source, dryRun: true)
                return .map([.init("diffs", .list(changes.map(difference)))])
            }
        }
        router.get("/v1/objects") { request, _ in
            try await answer(logger) {
                let wanted = try request.uri.queryParameters.get("kind").map(kind)
                return .map([.init("objects", .list(await control.objects(of: wanted).map(\.value)))])
            }
        }
        router.get("/v1/objects/{kind}/{name}") { _, context in
            try await answer(logger) {
                let key = try key(context)
                guard let object = await control.object(key) else { throw ConfigModel.DeleteError.notFound(key) }
                return object.value
            }
        }
        router.delete("/v1/objects/{kind}/{name}") { _, context in
            try await answer(logger) {
                let key = try key(context)
                try await control.delete([key])
                return .map([
                    .init("kind", .string(key.kind.rawValue)), .init("name", .string(key.name)),
                    .init("action", .string(ConfigModel.Action.deleted.rawValue)),
                ])
            }
        }
        router.post("/v1/delete") { request, _ in
            try await answer(logger) {
                let (text, source) = try await body(request)
                let keys = try keys(ConfigNode.document(text: text, source: source))
                try await control.delete(keys)
                return .map([
                    .init(
                        "results",
                        .list(
                            keys.map {
                                .map([
                                    .init("kind", .string($0.kind.rawValue)), .init("name", .string($0.name)),
                                    .init("action", .string(ConfigModel.Action.deleted.rawValue)),
                                ])
                            }))
                ])
            }
        }
        router.get("/v1/status") { _, _ in try await answer(logger) { await control.status(version: version) } }
        router.get("/v1/routes") { request, _ in
            try await answer(logger) { await control.routes(vrf: request.uri.queryParameters.get("vrf")) }
        }
        return router
    }

    // MARK: - Requests

    private struct BadRequest: Error { var status: HTTPResponse.Status; var message: String }

    private static func body(_ request: Request) async throws -> (text: String, source: String) {
        var request = request
        let buffer: ByteBuffer
        do { buffer = try await request.collectBody(upTo: maximumBody) } catch is NIOTooManyBytesError {
            throw BadRequest(status: .contentTooLarge, message: "the text is more than \(maximumBody >> 20) MiB; apply it in parts")
        }
        let bytes = Array(buffer.readableBytesView)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw BadRequest(status: .badRequest, message: "the text is not UTF-8") }
        let name = request.headers.first { $0.name.canonicalName == "x-source-name" }?.value ?? "request"
        return (text, String(name.prefix(1024)))
    }

    private static func flag(_ name: String, _ request: Request) throws -> Bool {
        guard let text = request.uri.queryParameters.get(name) else { return false }
        guard let value = Bool(text) else { throw BadRequest(status: .badRequest, message: "\(name) is true or false, not '\(text.prefix(32))'") }
        return value
    }

    private static func kind(_ text: String) throws -> ConfigKind {
        guard let kind = ConfigKind(rawValue: text), ConfigKind.allCases.contains(kind) else {
            let known = ConfigKind.allCases.map(\.rawValue).joined(separator: ", ")
            throw BadRequest(status: .notFound, message: "there is no kind '\(text.prefix(64))'; the kinds are \(known)")
        }
        return kind
    }

    private static func key(_ context: BasicRequestContext) throws -> ObjectKey {
        func part(_ name: String) -> String {
            let text = context.parameters.get(name) ?? ""
            return text.removingPercentEncoding ?? text
        }
        return ObjectKey(try kind(part("kind")), part("name"))
    }

    /// `[{"kind": "Port", "name": "a"}, …]`, each once.
    private static func keys(_ node: ConfigNode) throws -> [ObjectKey] {
        var keys: [ObjectKey] = []
        for item in try node.list() {
            let fields = try item.mapping(keys: ["kind", "name"])
            let key = ObjectKey(try kind(fields.required("kind").string()), try fields.required("name").string())
            if !keys.contains(key) { keys.append(key) }
        }
        return keys
    }

    // MARK: - Replies

    /// Runs the body; what it throws becomes an error reply.
    private static func answer(_ logger: Logger, _ body: () async throws -> ConfigValue) async throws -> Response {
        do { return reply(.ok, try await body()) } catch let error as ConfigError {
            return reply(.unprocessableContent, failure(error))
        } catch let error as BadRequest {
            return reply(error.status, failure(ConfigError(error.message)))
        } catch let error as ConfigModel.DeleteError {
            switch error {
            case .notFound: return reply(.notFound, failure(ConfigError("\(error)")))
            case .inUse, .named, .attached, .needed: return reply(.conflict, failure(ConfigError("\(error)")))
            }
        } catch let error as StoreError {
            logger.error("\(error)")
            return reply(.internalServerError, failure(ConfigError("\(error)")))
        }
    }

    private static func reply(_ status: HTTPResponse.Status, _ value: ConfigValue) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: value.json + "\n")))
    }

    private static func failure(_ error: ConfigError) -> ConfigValue {
        var fields: [ConfigValue.Field] = [.init("message", .string(error.message))]
        if let source = error.source { fields.append(.init("source", .string(source))) }
        if let line = error.line { fields.append(.init("line", .integer(line))) }
        if let column = error.column { fields.append(.init("column", .integer(column))) }
        if let document = error.document { fields.append(.init("document", .integer(document))) }
        if let field = error.field { fields.append(.init("field", .string(field))) }
        return .map([.init("error", .map(fields))])
    }

    /// Each leaf of the spec that differs; one that is on one side only has no `from` or no `to`.
    static func difference(_ change: ConfigModel.Change) -> ConfigValue {
        let old = change.old?.declared.leaves() ?? [], new = change.new?.declared.leaves() ?? []
        let before = Dictionary(old, uniquingKeysWith: { first, _ in first }), after = Dictionary(new, uniquingKeysWith: { first, _ in first })
        var changes: [ConfigValue] = []
        for path in new.map(\.path) + old.map(\.path).filter({ after[$0] == nil }) where before[path] != after[path] {
            var fields: [ConfigValue.Field] = [.init("field", .string(path))]
            if let from = before[path] { fields.append(.init("from", .string(from))) }
            if let to = after[path] { fields.append(.init("to", .string(to))) }
            changes.append(.map(fields))
        }
        return .map([
            .init("kind", .string(change.key.kind.rawValue)), .init("name", .string(change.key.name)),
            .init("action", .string(change.action.rawValue)), .init("changes", .list(changes)),
        ])
    }
}
