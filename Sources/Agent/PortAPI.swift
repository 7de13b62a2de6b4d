import Foundation
import Hummingbird
import Logging

/// The agent's HTTP interface on 127.0.0.1: ports as OpenSDN's tools post them (`POST /port`, `GET`/`DELETE /port/<id>`,
/// `POST /syncports`), and what the agent is doing (`GET /status`, `GET /healthz`). Answers are JSON; an error is
/// `{"error": {"message": …}}`, with the field when one is at fault.
///
/// Only loopback listens: whoever reaches it can attach interfaces to networks.
struct PortAPI: Sendable {
    let core: AgentCore
    static let bodyLimit = 1 << 20

    struct Failure: Codable { var error: Detail }
    struct Detail: Codable { var message: String; var field: String? }
    struct Count: Codable { var ports: Int }

    func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.post("port") { request, _ in await post(request) }
        router.get("port") { _, _ in await json(core.status().ports) }
        router.get("port/:id") { _, context in
            let id = context.parameters.get("id") ?? ""
            guard let port = await core.port(id) else { return failure(.notFound, "there is no port \(id)") }
            return json(port)
        }
        router.delete("port/:id") { _, context in await delete(context.parameters.get("id") ?? "") }
        router.post("syncports") { _, _ in json(Count(ports: await core.syncPorts())) }
        router.get("status") { _, _ in await json(core.status()) }
        router.get("healthz") { _, _ in await health() }
        return router
    }

    /// One port or an array: all are taken, or none.
    private func post(_ request: Request) async -> Response {
        let data: Data
        do {
            data = Data(try await request.body.collect(upTo: Self.bodyLimit).readableBytesView)
        } catch {
            return failure(.contentTooLarge, "the body is longer than \(Self.bodyLimit) octets")
        }
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: data) else { return failure(.badRequest, "the body is not JSON") }
        let isList: Bool
        let elements: [JSONValue]
        if case .array(let list) = value { (elements, isList) = (list, true) } else { (elements, isList) = ([value], false) }
        guard !elements.isEmpty else { return failure(.badRequest, "the array is empty") }
        var ports: [PortRequest] = []
        for (index, element) in elements.enumerated() {
            do {
                let port = try PortRequest(element)
                guard !ports.contains(where: { $0.id == port.id }) else {
                    throw PortRequestError(field: "id", message: "\(port.id) is in the array twice")
                }
                ports.append(port)
            } catch let error as PortRequestError {
                let field = isList ? "[\(index)]" + (error.field.isEmpty ? "" : ".\(error.field)") : error.field
                return failure(.badRequest, error.message, field: field)
            } catch {
                return failure(.badRequest, "\(error)")
            }
        }
        do {
            let added = try await core.add(ports)
            return isList ? json(added) : added.first.map { json($0) } ?? failure(.internalServerError, "the port is not there after it was added")
        } catch {
            return failure(.internalServerError, "the port could not be kept in the state directory: \(error)")
        }
    }

    private func delete(_ id: String) async -> Response {
        do {
            if try await core.removePort(id) { return json(["deleted": id]) }
        } catch {
            return failure(.internalServerError, "the port's file could not be removed: \(error)")
        }
        if await core.port(id) != nil {
            return failure(.conflict, "\(id) was not posted here: it comes from the configuration; delete it at the controller")
        }
        return failure(.notFound, "there is no port \(id)")
    }

    /// Asks the state itself, not only the process: when it does not answer in two seconds the agent is not well.
    private func health() async -> Response {
        let answer = await withTaskGroup(of: AgentHealth?.self) { group in
            group.addTask { await core.health() }
            group.addTask {
                try? await Task.sleep(for: .seconds(2)); return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        guard let answer else { return failure(.serviceUnavailable, "the agent's state has not answered within 2 s") }
        return json(answer, status: answer.healthy ? .ok : .serviceUnavailable)
    }

    private func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = (try? encoder.encode(value)) ?? Data("{}".utf8)
        return Response(status: status, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }

    private func failure(_ status: HTTPResponse.Status, _ message: String, field: String? = nil) -> Response {
        json(Failure(error: Detail(message: message, field: field.flatMap { $0.isEmpty ? nil : $0 })), status: status)
    }
}
