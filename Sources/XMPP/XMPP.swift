// XMPP: the messaging between a controller and its agents, as any XMPP client or server would understand it. Nothing here knows what the
// messages are about.
//
// Four layers, each of which can be used and tested without the next:
//
//   XML/        `XMLElement` is a value with a serializer; `StreamParser` turns bytes into elements, over libexpat.
//   Stanza/     iq, message, presence, their errors and addresses as values; pubsub and ping payloads.
//   SASL/       SCRAM-SHA-256, both sides. Stream/ negotiation, both sides: state machines that take an event and return actions.
//   Transport/  what has sockets, tasks and a clock: `XMPPServer`, `XMPPClient`, and the `Session` an application talks to.
//
// Bytes come in at one place, `Connection.read`, and go parser → state machine → actions; what an action says is done in
// `Connection.perform`. An application implements `SessionHandler`. To offer another payload, add its values beside `PubSub` and match them
// in the handler by (kind, namespace, name). To offer another step of negotiation, add a state to `ServerStream` and `ClientStream`.
//
// What is believed of a peer: nothing. Every limit is in `StreamLimits`. One bad stream ends with its own error and touches no other.
//
// RFC 6120 (streams, SASL, binding, stanzas), RFC 7622 (addresses, a subset), RFC 5802 and 7677 (SCRAM), XEP-0060 (pubsub, a subset),
// XEP-0199 (ping), XEP-0205 (denial of service). Not here: TLS, rosters and presence (RFC 6121), server-to-server streams, compression
// (XEP-0138, which makes amplification attacks possible).
//
// Thread-safety: values are values; `Session`, `XMPPServer` and `XMPPClient` may be used from anywhere; a `StreamParser` belongs to one task.
