"""Logs into the controller as a client of somebody else's making, subscribes to a VRF, prints its routes as JSON lines.

Usage: observer.py HOST PORT ACCOUNT PASSWORD VRF [publish | malformed]

publish    also announces 10.1.0.200/32 behind 10.0.0.12, prints how that was answered, and stays
malformed  after the routes sends a stanza that is not XML, and prints the stream error
"""

import asyncio
import json
import sys

import slixmpp
from slixmpp.xmlstream import ET

PUBSUB = "http://jabber.org/protocol/pubsub"
host, port, account, password, vrf = sys.argv[1:6]
extra = sys.argv[6] if len(sys.argv) > 6 else ""


def say(**values):
    print(json.dumps(values), flush=True)


def text(element, path):
    """The text at a path of local names: what namespace an entry has is nobody's business here."""
    found = element.find("/".join("{*}" + name for name in path.split("/")))
    return "" if found is None else (found.text or "").strip()


class Observer(slixmpp.ClientXMPP):
    status = 1

    def __init__(self):
        super().__init__(f"{account}@vrouter.local/observer", password, sasl_mech="SCRAM-SHA-256")
        self.register_plugin("xep_0060")
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.complete = asyncio.get_event_loop().create_future()
        self.stream_error = asyncio.get_event_loop().create_future()
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: self.fail("authentication failed"))
        self.add_event_handler("pubsub_publish", self.published)
        self.add_event_handler("stream_error", lambda e: self.stream_error.done() or self.stream_error.set_result(e["condition"]))

    def fail(self, why):
        say(failed=str(why))
        self.disconnect()

    def published(self, message):
        # Read from the XML: slixmpp's view of a message has one item, and there may be many.
        for items in message.xml.iter("{http://jabber.org/protocol/pubsub#event}items"):
            node = items.get("node")
            if node == "0/0/EndOfRib":
                if not self.complete.done():
                    self.complete.set_result(True)
                continue
            for item in items.findall("{*}item"):
                entry = item.find("{*}entry")
                for hop in entry.findall("{*}next-hops/{*}next-hop"):
                    say(
                        table=node, route=item.get("id"), nextHop=text(hop, "address"), label=int(text(hop, "label")),
                        encapsulations=[e.text for e in hop.findall("{*}tunnel-encapsulation-list/{*}tunnel-encapsulation")])

    async def started(self, _):
        try:
            say(mechanism=self.plugin["feature_mechanisms"].mech.name, jid=self.boundjid.full)
            await self.plugin["xep_0060"].subscribe("controller@vrouter.local/routes", vrf, timeout=10)
            await asyncio.wait_for(self.complete, 20)
            say(complete=True)
            if extra == "publish":
                await self.publish()
            if extra == "malformed":
                self.send_raw("<iq type='get' id='1'><query></iq>")
                say(streamError=await asyncio.wait_for(self.stream_error, 10))
            self.status = 0
        except Exception as error:
            say(failed=repr(error))
        await self.disconnect()

    async def publish(self):
        entry = ET.fromstring(
            """<entry><nlri><af>1</af><safi>1</safi><address>10.1.0.200/32</address></nlri><next-hops><next-hop><af>1</af>
            <address>10.0.0.12</address><label>77</label><tunnel-encapsulation-list><tunnel-encapsulation>vxlan</tunnel-encapsulation>
            </tunnel-encapsulation-list></next-hop></next-hops></entry>""")
        node = f"1/1/{vrf}/10.1.0.200/32"
        result = await self.plugin["xep_0060"].publish("controller@vrouter.local/routes", node, id="10.1.0.200/32", payload=entry, timeout=10)
        say(published=result["type"])
        # Stays until it is ended: with the stream goes the route.
        await asyncio.Event().wait()


asyncio.set_event_loop(asyncio.new_event_loop())
client = Observer()
client.connect((host, int(port)), disable_starttls=True, force_starttls=False)
asyncio.get_event_loop().run_until_complete(asyncio.wait_for(client.disconnected, 60))
sys.exit(client.status)
